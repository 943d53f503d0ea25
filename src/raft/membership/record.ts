import type { ConfigurationChange } from '../core/index.ts'
import type { MemberChanges } from './changes.ts'
import type { Incarnations } from './incarnations.ts'
import type { MemberUrls } from './member-urls.ts'
import type { ClusterView } from './members.ts'

/** Options of a {@link MembershipRecord}. */
interface MembershipRecordOptions {
  readonly node: ClusterView
  readonly changes: MemberChanges
  readonly incarnations: Incarnations
  readonly urls: MemberUrls
  /** Draws a UUID for a cluster that has none: at random, so that no two clusters share one. */
  readonly drawClusterUuid: () => string
  /** How long a requested change waits for a record under way, in milliseconds. */
  readonly timeoutMs: number
}

/**
 * Records the membership in the leader's log, so that the options of a later start do not matter, with a UUID for the
 * cluster, the incarnation of each member as soon as this leader knows it, and where members are reached once they have
 * moved. The voters stay the same, so no joint configuration is needed, and one entry takes all of it.
 */
export class MembershipRecord {
  readonly #options: MembershipRecordOptions
  #writing: Promise<void> | null = null

  constructor (options: MembershipRecordOptions) {
    this.#options = options
  }

  /** What a leader knows and the log does not say yet. It goes into one entry with a requested change. */
  unrecorded (): readonly ConfigurationChange[] {
    const { node, incarnations, urls, drawClusterUuid } = this.#options
    const isFounded = node.configuration.clusterUuid !== undefined
    return [
      ...(isFounded ? [] : [{ kind: 'found', clusterUuid: drawClusterUuid() } as const]),
      ...incarnations.unrecorded(),
      ...urls.unrecorded()
    ]
  }

  /** Resolves when no record is under way, or after the timeout: a change is then refused as pending. */
  async settled (): Promise<void> {
    await this.#writing
  }

  /** Call it at every tick: a record that was refused because another change is under way is tried again. */
  update (): void {
    const { node, changes, timeoutMs } = this.#options
    if (this.#writing !== null || !node.isRunning || node.view.role !== 'leader') return
    const unrecorded = this.unrecorded()
    if (unrecorded.length === 0) return
    const written = changes.record(unrecorded, timeoutMs)
    if (written === null) return
    this.#writing = written.finally(() => { this.#writing = null })
  }
}
