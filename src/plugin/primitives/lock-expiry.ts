import type { Leadership } from '../../raft/index.ts'
import { systemTimers } from '../../raft/internal.ts'
import { encodeCommand } from '../replicated/command.ts'
import type { HeldLock, LockChange } from '../replicated/lock-table.ts'
import type { PrimitiveContext } from './context.ts'

/** A running expirer. */
export interface LockExpiry {
  /** Ends it: no more timers and proposals. */
  readonly stop: () => void
}

interface Deadline {
  readonly lock: HeldLock
  readonly atMs: number
}

// Late is safe, early is not: deadlines that lie close together share one look at the table.
const granularityMs = 10
const retryMs = 1_000

/**
 * Lets locks end that were not renewed in time, on the node that leads.
 *
 * The leader counts the time to live on its own monotonic clock from when it saw the grant or the renewal applied, and
 * a new leader starts the full time again; so no skew between clocks ever ends a lock early. Within one term the count
 * goes on, however often the lease of the leadership lapses: time that has passed on one clock has passed. The end
 * itself is an entry of the log that names token and renewal: all nodes end the lock at the same point, and not if it
 * was renewed since.
 */
export function startLockExpiry (context: PrimitiveContext): LockExpiry {
  const expiry = new Expiry(context)
  expiry.start()
  return { stop: () => { expiry.stop() } }
}

class Expiry {
  readonly #context: PrimitiveContext
  /** By name of the lock, of the leadership with the token. */
  readonly #deadlines = new Map<string, Deadline>()
  /** Of this node's latest leadership; 0 before the first. */
  #token = 0
  #leads = false
  #timer: { readonly atMs: number, readonly cancel: () => void } | null = null
  #stopListening: () => void = () => {}

  constructor (context: PrimitiveContext) {
    this.#context = context
  }

  start (): void {
    const { engine, machine } = this.#context
    const leadershipChanged = (leadership: Leadership | null): void => { this.#follow(leadership) }
    engine.events.on('leadership', leadershipChanged)
    const stopListening = machine.onLockChange((change) => { this.#changed(change) })
    this.#stopListening = () => {
      engine.events.off('leadership', leadershipChanged)
      stopListening()
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
      this.#expireDue()
      return
    }
    this.#token = leadership.token
    this.#deadlines.clear()
    for (const lock of this.#context.machine.locks.all()) this.#expect(lock, lock.ttlMs)
  }

  #changed (change: LockChange): void {
    if (change.kind === 'granted' || change.kind === 'renewed') this.#expect(change.lock, change.lock.ttlMs)
    else this.#deadlines.delete(change.lock.name)
  }

  #expect (lock: HeldLock, inMs: number): void {
    const atMs = this.#context.clock.monotonicMs() + inMs
    this.#deadlines.set(lock.name, { lock, atMs })
    if (this.#leads) this.#arm(atMs)
  }

  #arm (atMs: number): void {
    if (this.#timer !== null && this.#timer.atMs <= atMs) return
    this.#disarm()
    const delayMs = Math.max(granularityMs, Math.ceil(atMs - this.#context.clock.monotonicMs()))
    const cancel = (this.#context.timers ?? systemTimers).after(delayMs, () => {
      this.#timer = null
      this.#expireDue()
    }, { background: true })
    this.#timer = { atMs, cancel }
  }

  #disarm (): void {
    this.#timer?.cancel()
    this.#timer = null
  }

  #expireDue (): void {
    const nowMs = this.#context.clock.monotonicMs()
    let nextMs = Infinity
    const due: HeldLock[] = []
    for (const { lock, atMs } of this.#deadlines.values()) {
      if (atMs <= nowMs) due.push(lock)
      else nextMs = Math.min(nextMs, atMs)
    }
    for (const lock of due) {
      // Stays expected until it is applied: a proposal that fails is made again.
      this.#expect(lock, retryMs)
      this.#propose(lock)
    }
    if (nextMs !== Infinity) this.#arm(nextMs)
  }

  #propose ({ name, token, renewal }: HeldLock): void {
    const { engine, logger, defaultTimeoutMs } = this.#context
    engine
      .propose(encodeCommand({ kind: 'lock-expire', name, token, renewal }), { timeoutMs: defaultTimeoutMs })
      .catch((error: unknown) => {
        logger.debug({ err: error, lock: name, token }, 'could not write the expiry of a lock')
      })
  }
}
