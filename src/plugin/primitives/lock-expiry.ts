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
 * a new leader starts the full time again; so no skew between clocks ever ends a lock early. The end itself is an entry
 * of the log that names token and renewal: all nodes end the lock at the same point, and not if it was renewed since.
 */
export function startLockExpiry (context: PrimitiveContext): LockExpiry {
  const expiry = new Expiry(context)
  expiry.start()
  return { stop: () => { expiry.stop() } }
}

class Expiry {
  readonly #context: PrimitiveContext
  readonly #deadlines = new Map<string, Deadline>()
  #leads = false
  #timer: { readonly atMs: number, readonly cancel: () => void } | null = null
  #stopListening: () => void = () => {}

  constructor (context: PrimitiveContext) {
    this.#context = context
  }

  start (): void {
    const { engine, machine } = this.#context
    const leadershipChanged = (leadership: unknown): void => { this.#setLeads(leadership !== null) }
    engine.events.on('leadership', leadershipChanged)
    const stopListening = machine.onLockChange((change) => { this.#changed(change) })
    this.#stopListening = () => {
      engine.events.off('leadership', leadershipChanged)
      stopListening()
    }
    this.#setLeads(engine.currentLeadership() !== null)
  }

  stop (): void {
    this.#stopListening()
    this.#setLeads(false)
  }

  #setLeads (leads: boolean): void {
    this.#leads = leads
    this.#deadlines.clear()
    this.#disarm()
    if (!leads) return
    for (const lock of this.#context.machine.locks.all()) this.#expect(lock, lock.ttlMs)
  }

  #changed (change: LockChange): void {
    if (!this.#leads) return
    if (change.kind === 'granted' || change.kind === 'renewed') this.#expect(change.lock, change.lock.ttlMs)
    else this.#deadlines.delete(change.lock.name)
  }

  #expect (lock: HeldLock, inMs: number): void {
    const atMs = this.#context.clock.monotonicMs() + inMs
    this.#deadlines.set(lock.name, { lock, atMs })
    this.#arm(atMs)
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
