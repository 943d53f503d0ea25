import { weighChange } from './log-change.ts'
import type { LogChange } from './log-change.ts'

/** A group takes no further change once it holds this many bytes of data, to bound the time and memory of one write. */
const fullGroupBytes = 8 * 1024 * 1024

interface Waiting {
  readonly change: LogChange
  readonly resolve: () => void
  readonly reject: (reason: Error) => void
}

/**
 * Group commit: at most one write is under way, and changes that arrive meanwhile go together into the next one.
 *
 * The first failed write ends it for good. Everything that waits, and every later change, is rejected with that reason,
 * and `write` is not called again.
 */
export class GroupCommit {
  readonly #write: (batches: readonly LogChange[]) => Promise<void>
  readonly #explain: (cause: unknown) => Error
  #waiting: Waiting[] = []
  #running: Promise<void> | null = null
  #failure: Error | null = null

  /**
   * @param write makes the changes durable, in order, all or none
   * @param explain turns what `write` rejected with into the reason for all
   */
  constructor (write: (batches: readonly LogChange[]) => Promise<void>, explain: (cause: unknown) => Error) {
    this.#write = write
    this.#explain = explain
  }

  get failure (): Error | null { return this.#failure }

  append (change: LogChange): Promise<void> {
    if (this.#failure !== null) return Promise.reject(this.#failure)
    return new Promise((resolve, reject) => {
      this.#waiting.push({ change, resolve, reject })
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

  #nextGroup (): Waiting[] {
    let count = 0
    let bytes = 0
    for (const { change } of this.#waiting) {
      bytes += weighChange(change)
      if (count > 0 && (bytes > fullGroupBytes || change.kind === 'reset')) break
      count += 1
      if (change.kind === 'reset') break
    }
    return this.#waiting.splice(0, count)
  }

  async #run (): Promise<void> {
    // One turn later, so that appends made in one go share a write.
    await Promise.resolve()
    while (this.#waiting.length > 0) {
      const group = this.#nextGroup()
      try {
        await this.#write(group.map((waiting) => waiting.change))
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
    const abandoned = [...group, ...this.#waiting]
    this.#waiting = []
    for (const { reject } of abandoned) reject(reason)
  }
}
