import type { Leadership } from '../../raft/index.ts'
import { systemTimers } from '../../raft/internal.ts'
import type { Command } from '../replicated/command.ts'
import { encodeCommand } from '../replicated/command.ts'
import type { PrimitiveContext } from './context.ts'
import { TimeHeap } from './time-heap.ts'

/** Something of the replicated state that ends unless the log says within `inMs` that it goes on. */
export interface Deadline<End> {
  /** What it is: a later deadline with the same key replaces it. */
  readonly key: string
  /** From when it was applied, or this node began to lead. Milliseconds. */
  readonly inMs: number
  /** What ends. Names the stretch of time that was measured: when that is over, nothing is changed. */
  readonly end: End
}

/** Where deadlines come from. */
interface DeadlineSource<End> {
  /** All of them, as the state of this node has them. */
  readonly all: () => Iterable<Deadline<End>>
  /** Tells of each one that begins or is over, as it is applied. The function returned ends that. */
  readonly subscribe: (begun: (deadline: Deadline<End>) => void, over: (key: string) => void) => () => void
  /** The entries that end what is due. */
  readonly commands: (ends: readonly End[]) => readonly Command[]
}

/** Deadlines that are watched. */
export interface LeaderDeadlines {
  /** Ends it: no more timers and proposals. */
  readonly stop: () => void
}

interface Expected<End> extends Deadline<End> {
  readonly atMs: number
}

// Late is safe, early is not: deadlines that lie close together share a timer.
const granularityMs = 10
const retryMs = 1_000

/**
 * Lets things end whose time is over, on the node that leads.
 *
 * The leader counts on its own monotonic clock from when it saw them applied, and a new leader starts the full time
 * again; so no skew between clocks ever ends one early. Within one term the count goes on, however often the lease of
 * the leadership lapses: time that has passed on one clock has passed. The end itself is an entry of the log that names
 * what was measured: all nodes end the thing at the same point, and not if it was renewed since.
 */
export function watchDeadlines<End> (context: PrimitiveContext, source: DeadlineSource<End>): LeaderDeadlines {
  const watch = new DeadlineWatch(context, source)
  watch.start()
  return { stop: () => { watch.stop() } }
}

class DeadlineWatch<End> {
  readonly #context: PrimitiveContext
  readonly #source: DeadlineSource<End>
  /** Of the leadership with the token. */
  readonly #deadlines = new TimeHeap<string, Expected<End>>(({ key }) => key)
  /** Of this node's latest leadership; 0 before the first. */
  #token = 0
  #leads = false
  #timer: { readonly atMs: number, readonly cancel: () => void } | null = null
  #stopListening: () => void = () => {}

  constructor (context: PrimitiveContext, source: DeadlineSource<End>) {
    this.#context = context
    this.#source = source
  }

  start (): void {
    const { engine } = this.#context
    const leadershipChanged = (leadership: Leadership | null): void => { this.#follow(leadership) }
    engine.events.on('leadership', leadershipChanged)
    const unsubscribe = this.#source.subscribe(
      (deadline) => { this.#expect(deadline, deadline.inMs) },
      (key) => { this.#deadlines.remove(key) }
    )
    this.#stopListening = () => {
      engine.events.off('leadership', leadershipChanged)
      unsubscribe()
    }
    this.#follow(engine.openLeadership())
  }

  stop (): void {
    this.#stopListening()
    this.#follow(null)
  }

  #follow (leadership: Leadership | null): void {
    this.#leads = leadership !== null
    this.#disarm()
    if (leadership === null) return
    if (leadership.token === this.#token) {
      this.#endDue()
      return
    }
    this.#token = leadership.token
    this.#deadlines.clear()
    for (const deadline of this.#source.all()) this.#expect(deadline, deadline.inMs)
  }

  #expect (deadline: Deadline<End>, inMs: number): void {
    const atMs = this.#context.clock.monotonicMs() + inMs
    this.#deadlines.put({ ...deadline, atMs })
    if (this.#leads) this.#arm(atMs)
  }

  #arm (atMs: number): void {
    if (this.#timer !== null && this.#timer.atMs <= atMs) return
    this.#disarm()
    const delayMs = Math.max(granularityMs, Math.ceil(atMs - this.#context.clock.monotonicMs()))
    const cancel = (this.#context.timers ?? systemTimers).after(delayMs, () => {
      this.#timer = null
      this.#endDue()
    }, { background: true })
    this.#timer = { atMs, cancel }
  }

  #disarm (): void {
    this.#timer?.cancel()
    this.#timer = null
  }

  #endDue (): void {
    const nowMs = this.#context.clock.monotonicMs()
    const due: Array<Expected<End>> = []
    let { first } = this.#deadlines
    for (; first !== undefined && first.atMs <= nowMs; first = this.#deadlines.first) {
      due.push(first)
      // Stays expected until it is applied: a proposal that fails is made again.
      this.#expect(first, retryMs)
    }
    for (const command of this.#source.commands(due.map(({ end }) => end))) this.#propose(command)
    if (first !== undefined) this.#arm(first.atMs)
  }

  #propose (end: Command): void {
    const { engine, logger, defaultTimeoutMs } = this.#context
    engine.propose(encodeCommand(end), { timeoutMs: defaultTimeoutMs }).catch((error: unknown) => {
      logger.debug({ err: error, end }, 'could not write that the time of something is over')
    })
  }
}
