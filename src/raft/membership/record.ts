import type { Configuration, LeadershipView } from '../core/index.ts'
import type { MemberChanges } from './changes.ts'
import type { Incarnations } from './incarnations.ts'

/** What {@link MembershipRecord} needs of the node. */
export interface RecordingNode {
  readonly view: LeadershipView
  readonly isRunning: boolean
  readonly configuration: Configuration
  readonly configurationIndex: number
}

/**
 * Has the leader write down who belongs, so that the log says so whatever the options of a later start may be, and
 * which log each member keeps, as soon as it has heard that. Voters stay as they are, so no joint configuration is
 * needed.
 */
export class MembershipRecord {
  readonly #node: RecordingNode
  readonly #changes: MemberChanges
  readonly #incarnations: Incarnations
  readonly #timeoutMs: number
  #writing: Promise<void> | null = null

  /** `timeoutMs`: how long a change that somebody asked for waits for a record under way. */
  constructor (node: RecordingNode, changes: MemberChanges, incarnations: Incarnations, timeoutMs: number) {
    this.#node = node
    this.#changes = changes
    this.#incarnations = incarnations
    this.#timeoutMs = timeoutMs
  }

  /** Resolves when no record is under way, or when it takes too long: a change would then be refused as pending. */
  async settled (): Promise<void> {
    await this.#writing
  }

  /** To be called again and again: what is refused now, because another change is under way, is written down later. */
  update (): void {
    if (this.#writing !== null || !this.#node.isRunning || this.#node.view.role !== 'leader') return
    const news = this.#incarnations.unrecorded()
    if (news.length === 0 && this.#node.configurationIndex > 0) return
    const written = this.#changes.record(news, this.#timeoutMs)
    if (written === null) return
    this.#writing = written.finally(() => { this.#writing = null })
  }
}
