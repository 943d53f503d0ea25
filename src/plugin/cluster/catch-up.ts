import type { Engine, LeaderInfo, Logger } from '../../raft/index.ts'

/** Pause before a failed attempt is repeated, when no event repeats it sooner. */
const retryMs = 250

/**
 * Knows whether this node has caught up with the cluster: since it last found a leader, it has applied everything that
 * was committed at some moment. Indexes alone cannot tell, because a node learns only late how far the others are.
 */
export class CatchUp {
  readonly #engine: Engine
  readonly #logger: Logger
  readonly #timeoutMs: number
  readonly #stopped = new AbortController()
  #caughtUp = false
  #running = false
  #retry: NodeJS.Timeout | undefined

  constructor (engine: Engine, logger: Logger, timeoutMs: number) {
    this.#engine = engine
    this.#logger = logger
    this.#timeoutMs = timeoutMs
    engine.events.on('leader', this.#onLeader)
  }

  get caughtUp (): boolean { return this.#caughtUp }

  /** Ends the attempts. */
  stop (): void {
    this.#engine.events.off('leader', this.#onLeader)
    clearTimeout(this.#retry)
    this.#stopped.abort()
  }

  readonly #onLeader = (leader: LeaderInfo | null): void => {
    if (leader === null) this.#caughtUp = false
    else if (!this.#caughtUp) this.#attempt()
  }

  #attempt (): void {
    if (this.#running || this.#stopped.signal.aborted) return
    this.#running = true
    clearTimeout(this.#retry)
    this.#engine.readBarrier({ timeoutMs: this.#timeoutMs, signal: this.#stopped.signal }).then(
      () => { this.#ended(this.#engine.leader() !== null) },
      (err: unknown) => {
        if (!this.#stopped.signal.aborted) this.#logger.debug({ err }, 'not caught up with the cluster yet')
        this.#ended(false)
      })
  }

  #ended (caughtUp: boolean): void {
    this.#running = false
    this.#caughtUp = caughtUp
    if (caughtUp || this.#stopped.signal.aborted || this.#engine.leader() === null) return
    this.#retry = setTimeout(() => { this.#attempt() }, retryMs)
    this.#retry.unref()
  }
}
