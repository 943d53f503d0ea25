import type { HardState, Index } from '../../core/index.ts'
import { entryBytes } from '../../core/index.ts'
import { StorageFailedError } from '../../errors.ts'
import type { LogPoint, StorageBatch } from '../storage.ts'
import type { LogChange, LogRules } from './log-rules.ts'

/** A group takes no further change once it holds this many bytes of data, to bound the time and memory of one write. */
const fullGroupBytes = 8 * 1024 * 1024
/** Added to the data of an entry in that sum. */
const entryOverheadBytes = 64

const noChange: LogChange = { kind: 'append', batch: { hardState: null, entries: [] } }

/** A log that a {@link LogQueue} writes to: it gathers changes as they come, and makes them durable together. */
export interface GroupTarget {
  /**
   * Takes a change into the next group, also while the one before is being written. A reset is a group of its own.
   * Throws when the change cannot be written, and then the group is as it was.
   */
  readonly gather: (change: LogChange) => void
  /** Makes the gathered group durable, in order, all or nothing. Changes that come meanwhile belong to the next one. */
  readonly write: () => Promise<void>
}

interface Waiting {
  readonly change: LogChange
  readonly resolve: () => void
  readonly reject: (reason: Error) => void
}

/** The reason that a storage rejects with for good after a write has failed with `cause`. */
export function storageFailed (cause: unknown): Error {
  return new StorageFailedError(cause instanceof Error ? cause.message : String(cause), { cause })
}

/**
 * The way into a log, in files or in memory: checks each change against the rules as it comes, and writes by group
 * commit. At most one write is under way, and the changes that arrive meanwhile go together into the next one.
 *
 * They are gathered at once, not when their turn to be written comes: they are encoded while the disk works, and the
 * next write can start as soon as the disk is free.
 *
 * The first failed write ends the queue for good, and so does a change that breaks a rule: all waiting changes and
 * every later one are rejected with that reason, and nothing is written again.
 */
export class LogQueue {
  readonly #rules: LogRules
  readonly #target: GroupTarget
  /** The next group, gathered. */
  #group: Waiting[] = []
  #groupBytes = 0
  /** Changes that the next group has no room for. */
  #later: Waiting[] = []
  #running: Promise<void> | null = null
  #failure: Error | null = null

  /**
   * @param rules have taken everything that the log holds
   * @param target the log
   */
  constructor (rules: LogRules, target: GroupTarget) {
    this.#rules = rules
    this.#target = target
  }

  /** The reason that changes are refused with, or null. */
  get failure (): Error | null { return this.#failure }

  append (batch: StorageBatch): Promise<void> {
    return this.#take({ kind: 'append', batch })
  }

  /** Drops the entries through this index. */
  compact (through: Index): Promise<void> {
    const base = this.#rules.compactionPoint(through)
    // Resolves in its turn: an earlier compaction of these entries may still be waiting.
    if (base === null) return this.#enqueue(noChange)
    return typeof base === 'string' ? this.#refuse(base) : this.#take({ kind: 'compact', base })
  }

  reset (base: LogPoint, hardState: HardState): Promise<void> {
    return this.#take({ kind: 'reset', base, hardState })
  }

  /** Takes no more changes. Those already taken are still written. */
  refuseFromNowOn (reason: Error): void {
    this.#failure ??= reason
  }

  /** Waits until no write is under way. */
  async idle (): Promise<void> {
    while (this.#running !== null) await this.#running
  }

  #take (change: LogChange): Promise<void> {
    const fault = this.#failure === null ? this.#rules.take(change) : null
    return fault === null ? this.#enqueue(change) : this.#refuse(fault)
  }

  #refuse (fault: string): Promise<void> {
    this.#failure ??= storageFailed(new Error(`a change breaks a rule of the log: ${fault}`))
    return Promise.reject(this.#failure)
  }

  #enqueue (change: LogChange): Promise<void> {
    if (this.#failure !== null) return Promise.reject(this.#failure)
    return new Promise((resolve, reject) => {
      const waiting = { change, resolve, reject }
      if (this.#later.length > 0 || !this.#hasRoomFor(change)) this.#later.push(waiting)
      else this.#gather(waiting)
      this.#running ??= this.#run()
    })
  }

  #hasRoomFor (change: LogChange): boolean {
    const [first] = this.#group
    if (first === undefined) return true
    return (
      first.change.kind !== 'reset' &&
      change.kind !== 'reset' &&
      this.#groupBytes + weightOf(change) <= fullGroupBytes
    )
  }

  #gather (waiting: Waiting): void {
    try {
      this.#target.gather(waiting.change)
    } catch (cause) {
      this.#failure ??= storageFailed(cause)
      waiting.reject(this.#failure)
      return
    }
    this.#group.push(waiting)
    this.#groupBytes += weightOf(waiting.change)
  }

  /** Gathers the changes that the group before had no room for. */
  #gatherLater (): void {
    let count = 0
    for (const waiting of this.#later) {
      if (!this.#hasRoomFor(waiting.change)) break
      this.#gather(waiting)
      count++
    }
    this.#later.splice(0, count)
  }

  async #run (): Promise<void> {
    // One turn later, so that appends of one turn share a write.
    await Promise.resolve()
    while (this.#group.length > 0) {
      const group = this.#group
      this.#group = []
      this.#groupBytes = 0
      const written = this.#target.write()
      if (this.#later.length > 0) this.#gatherLater()
      try {
        await written
      } catch (cause) {
        this.#abandon(group, storageFailed(cause))
        break
      }
      for (const { resolve } of group) resolve()
    }
    this.#running = null
  }

  #abandon (group: readonly Waiting[], reason: Error): void {
    this.#failure ??= reason
    const abandoned = [...group, ...this.#group, ...this.#later]
    this.#group = []
    this.#later = []
    for (const { reject } of abandoned) reject(reason)
  }
}

/** Roughly the bytes that a change adds to a group. */
function weightOf (change: LogChange): number {
  if (change.kind !== 'append') return entryOverheadBytes
  let bytes = 0
  for (const entry of change.batch.entries) bytes += entryBytes(entry) + entryOverheadBytes
  return bytes
}
