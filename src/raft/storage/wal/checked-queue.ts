import type { HardState, Index } from '../../core/types.ts'
import { StorageFailedError } from '../../errors.ts'
import type { LogBase, StorageBatch } from '../storage.ts'
import type { GroupTarget } from './group-commit.ts'
import { GroupCommit } from './group-commit.ts'
import type { LogChange } from './log-change.ts'
import type { LogRules } from './log-rules.ts'

/** Turns what a write rejected with into the reason that everything is refused with from then on. */
export function storageFailed (cause: unknown): Error {
  return new StorageFailedError(cause instanceof Error ? cause.message : String(cause), { cause })
}

const nothing: LogChange = { kind: 'append', batch: { hardState: null, entries: [] } }

/**
 * The way into a log, whichever storage holds it: each change is checked against the rules as it comes, then written
 * by group commit. A change that breaks a rule counts as a failure: it and everything after it are refused for good.
 */
export class CheckedQueue {
  readonly #rules: LogRules
  readonly #queue: GroupCommit

  /**
   * @param rules have taken everything that the log holds
   * @param target where the changes go
   */
  constructor (rules: LogRules, target: GroupTarget) {
    this.#rules = rules
    this.#queue = new GroupCommit(target, storageFailed)
  }

  get failure (): Error | null { return this.#queue.failure }

  append (batch: StorageBatch): Promise<void> {
    return this.#take(() => this.#rules.takeBatch(batch), { kind: 'append', batch })
  }

  release (through: Index): Promise<void> {
    const base = this.#rules.releaseBase(through)
    // What was released before still waits for its turn.
    if (base === null) return this.#queue.append(nothing)
    if (typeof base === 'string') return this.#take(() => base, nothing)
    return this.#take(() => this.#rules.takeRelease(base), { kind: 'release', base })
  }

  reset (base: LogBase, hardState: HardState): Promise<void> {
    return this.#take(() => this.#rules.takeReset(base, hardState), { kind: 'reset', base, hardState })
  }

  /** Takes no more changes. Those already taken are still written. */
  refuseFromNowOn (reason: Error): void {
    this.#queue.refuseFromNowOn(reason)
  }

  /** Waits until nothing is under way. */
  idle (): Promise<void> {
    return this.#queue.idle()
  }

  #take (check: () => string | null, change: LogChange): Promise<void> {
    const fault = this.#queue.failure === null ? check() : null
    if (fault !== null) {
      this.#queue.refuseFromNowOn(storageFailed(new Error(`a change breaks a rule of the log: ${fault}`)))
    }
    return this.#queue.append(change)
  }
}
