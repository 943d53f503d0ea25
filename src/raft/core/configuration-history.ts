import { invariant } from './invariant.ts'
import type { Configuration, Entry, NodeId } from './types.ts'

/** A configuration and where it stands in the log. */
export interface HeldConfiguration {
  /** Index of the entry that holds it; 0 for the one the node was started with. */
  readonly index: number
  readonly configuration: Configuration
}

/**
 * The configurations in a log. The latest one is in force, committed or not; when its entry is removed, the one before
 * it is in force again (paper section 6, dissertation section 4.1).
 */
export class ConfigurationHistory {
  #held: HeldConfiguration[]

  /**
   * `first` is the configuration of a snapshot, or the one that the node was started with; `entries` may hold later
   * ones.
   */
  constructor (first: HeldConfiguration, entries: readonly Entry[]) {
    this.#held = [first]
    this.take(entries)
  }

  get current (): HeldConfiguration {
    const last = this.#held.at(-1)
    invariant(last !== undefined, 'there is always a configuration')
    return last
  }

  /** The latest configuration known to be committed and all later ones: each of them may be in force on some node. */
  since (commitIndex: number): readonly Configuration[] {
    const committed = this.#held.findLastIndex((held) => held.index <= commitIndex)
    return this.#held.slice(committed).map((held) => held.configuration)
  }

  /** The latest configuration at or below an index. */
  at (index: number): HeldConfiguration {
    const held = this.#held.findLast((candidate) => candidate.index <= index)
    invariant(held !== undefined, 'the configuration at this index is not compacted')
    return held
  }

  /**
   * The first configuration at or below an index that names the cluster's UUID; null when none does. Later ones name
   * the same, as far as they are committed.
   */
  foundedBy (index: number): HeldConfiguration | null {
    if (this.current.configuration.clusterUuid === undefined) return null
    return this.#held.find((held) => held.index <= index && held.configuration.clusterUuid !== undefined) ?? null
  }

  /**
   * Whether a configuration of the log at or below an index, as far as they are held, has this member with this log. An
   * earlier member of its name was another one.
   */
  hadMember (id: NodeId, incarnation: string, through: number): boolean {
    return this.#held.some(({ index, configuration }) => index > 0 && index <= through &&
      configuration.members.some((member) => member.id === id && member.incarnation === incarnation))
  }

  /** The log was compacted through this index: an earlier configuration can never be in force again. */
  compact (through: number): void {
    const first = this.#held.findLastIndex((held) => held.index <= through)
    // After a restart the history starts with the snapshot's configuration; the log may start before the snapshot.
    if (first > 0) this.#held.splice(0, first)
  }

  /** The log starts anew behind a snapshot with this configuration. */
  restart (first: HeldConfiguration): void {
    this.#held = [first]
  }

  /** Records the configurations among appended entries; returns whether another configuration is in force. */
  take (entries: readonly Entry[]): boolean {
    const before = this.#held.length
    for (const entry of entries) {
      if (entry.kind !== 'configuration' || entry.index <= this.current.index) continue
      this.#held.push({ index: entry.index, configuration: entry.configuration })
    }
    return this.#held.length !== before
  }

  /** The entries from this index on were removed; returns whether another configuration is in force. */
  truncateFrom (index: number): boolean {
    const before = this.#held.length
    // The first configuration stays: it is the initial one or a committed one.
    this.#held = this.#held.filter((held, position) => held.index < index || position === 0)
    return this.#held.length !== before
  }
}
