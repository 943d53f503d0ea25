import type { LogChange } from './log-change.ts'
import { weighChange } from './log-change.ts'

/** A group takes no further change once it holds this many bytes of data, to bound the time and memory of one write. */
const fullGroupBytes = 8 * 1024 * 1024

/** Where the changes of group commit go: gathered as they come, made durable together. */
export interface GroupTarget {
  /**
   * Takes a change into the next group, also while the one before is being written. A reset comes alone. Throws when
   * the change cannot be written, and then the group is as it was.
   */
  readonly gather: (change: LogChange) => void
  /** Makes what was gathered durable, in order, all or none. What comes meanwhile belongs to the next group. */
  readonly write: () => Promise<void>
}

interface Waiting {
  readonly change: LogChange
  readonly resolve: () => void
  readonly reject: (reason: Error) => void
}

/**
 * Group commit: at most one write is under way, and changes that arrive meanwhile go together into the next one.
 *
 * They are gathered at once, not when their turn to be written comes: what it takes to encode them then passes while
 * the disk works, and the next write can start as soon as the disk is free.
 *
 * The first failed write ends it for good. Everything that waits, and every later change, is rejected with that reason,
 * and nothing is written again.
 */
export class GroupCommit {
  readonly #target: GroupTarget
  readonly #explain: (cause: unknown) => Error
  /** The next group, gathered. */
  #group: Waiting[] = []
  #groupBytes = 0
  /** What the next group does not take any more. */
  #later: Waiting[] = []
  #running: Promise<void> | null = null
  #failure: Error | null = null

  /** @param explain turns what the target rejected with into the reason for all */
  constructor (target: GroupTarget, explain: (cause: unknown) => Error) {
    this.#target = target
    this.#explain = explain
  }

  get failure (): Error | null { return this.#failure }

  append (change: LogChange): Promise<void> {
    if (this.#failure !== null) return Promise.reject(this.#failure)
    return new Promise((resolve, reject) => {
      const waiting = { change, resolve, reject }
      if (this.#later.length > 0 || !this.#hasRoomFor(change)) this.#later.push(waiting)
      else this.#gather(waiting)
      this.#running ??= this.#run()
    })
  }

  /** Takes no more changes. Those already taken are still written. */
  refuseFromNowOn (reason: Error): void {
    this.#failure ??= reason
  }

  /** Waits until nothing is under way. */
  async idle (): Promise<void> {
    while (this.#running !== null) await this.#running
  }

  #hasRoomFor (change: LogChange): boolean {
    const [first] = this.#group
    if (first === undefined) return true
    return (
      first.change.kind !== 'reset' &&
      change.kind !== 'reset' &&
      this.#groupBytes + weighChange(change) <= fullGroupBytes
    )
  }

  #gather (waiting: Waiting): void {
    try {
      this.#target.gather(waiting.change)
    } catch (cause) {
      this.#failure ??= this.#explain(cause)
      waiting.reject(this.#failure)
      return
    }
    this.#group.push(waiting)
    this.#groupBytes += weighChange(waiting.change)
  }

  /** What could not go into the group before. */
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
    // One turn later, so that appends made in one go share a write.
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
        this.#abandon(group, this.#explain(cause))
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
