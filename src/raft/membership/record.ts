import type { MemberChanges } from './changes.ts'
import type { Incarnations } from './incarnations.ts'
import type { ClusterView } from './members.ts'

/**
 * Records the membership in the leader's log, so that the options of a later start do not matter, and the incarnation
 * of each member as soon as this leader knows it. The voters stay the same, so no joint configuration is needed.
 */
export class MembershipRecord {
  readonly #node: ClusterView
  readonly #changes: MemberChanges
  readonly #incarnations: Incarnations
  readonly #timeoutMs: number
  #writing: Promise<void> | null = null

  /** `timeoutMs`: how long a requested change waits for a record under way. */
  constructor (node: ClusterView, changes: MemberChanges, incarnations: Incarnations, timeoutMs: number) {
    this.#node = node
    this.#changes = changes
    this.#incarnations = incarnations
    this.#timeoutMs = timeoutMs
  }

  /** Resolves when no record is under way, or after the timeout: a change is then refused as pending. */
  async settled (): Promise<void> {
    await this.#writing
  }

  /** Call it at every tick: a record that was refused because another change is under way is tried again. */
  update (): void {
    if (this.#writing !== null || !this.#node.isRunning || this.#node.view.role !== 'leader') return
    const unrecorded = this.#incarnations.unrecorded()
    if (unrecorded.length === 0 && this.#node.configurationIndex > 0) return
    const written = this.#changes.record(unrecorded, this.#timeoutMs)
    if (written === null) return
    this.#writing = written.finally(() => { this.#writing = null })
  }
}
