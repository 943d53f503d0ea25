import type { ApplyContext, StateMachine } from '../../raft/index.ts'
import type { Answer, MapAnswer } from './answer.ts'
import { decodeCommand } from './command.ts'
import type { MapCommand } from './command.ts'
import { FenceTable } from './fence-table.ts'
import { IdempotencyTable } from './idempotency-table.ts'
import { LockTable } from './lock-table.ts'
import type { LockChange } from './lock-table.ts'
import { MapTable } from './map-table.ts'

/**
 * The replicated state behind maps, locks and fences: one state machine, so that one log orders them all and a fence
 * is judged at the very entry that writes.
 */
export class ClusterMachine implements StateMachine {
  readonly maps = new MapTable()
  readonly locks = new LockTable((change) => { this.#lockChanged(change) })
  readonly fences = new FenceTable((token) => this.locks.hasToken(token))
  readonly answers = new IdempotencyTable()
  readonly #lockListeners = new Set<(change: LockChange) => void>()

  /** Applies one command. Bytes that are no command are answered with a refusal. */
  apply (bytes: Uint8Array, context: ApplyContext): Answer {
    const command = decodeCommand(bytes)
    switch (command.kind) {
      case 'refused': return command
      case 'map-set':
      case 'map-delete': return this.answers.applyOnce(command, context, () => this.#applyToMap(command, context))
      case 'lock-acquire': return this.locks.acquire(command, context)
      case 'lock-renew': return this.locks.renew(command)
      case 'lock-release': return this.locks.release(command, context)
      case 'lock-abandon': return this.locks.abandon(command, context)
      case 'lock-expire': return this.locks.expire(command, context)
    }
  }

  /** A leadership started; its token replaces the last one's. */
  leadershipStarted (context: ApplyContext): void {
    this.fences.leadershipStarted(context)
  }

  /**
   * Calls `listener` for every change of a lock that is applied on this node, within `apply`; it must not throw.
   * Local, not replicated. The function returned ends it.
   */
  onLockChange (listener: (change: LockChange) => void): () => void {
    this.#lockListeners.add(listener)
    return () => { this.#lockListeners.delete(listener) }
  }

  /** The whole replicated state, as JSON: equal on nodes that have applied the same entries. */
  toJSON (): unknown {
    return { maps: this.maps, locks: this.locks, fences: this.fences, answers: this.answers }
  }

  #applyToMap (command: MapCommand, context: ApplyContext): MapAnswer {
    if (!this.fences.allows(command.fence)) return { kind: 'fenced', token: command.fence ?? 0 }
    return command.kind === 'map-set' ? this.maps.set(command, context) : this.maps.delete(command, context)
  }

  #lockChanged (change: LockChange): void {
    for (const listener of [...this.#lockListeners]) listener(change)
  }
}
