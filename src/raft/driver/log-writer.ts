import type { Index, Write } from '../core/index.ts'
import type { Storage } from '../storage/storage.ts'

/** The outcomes of the writes of a {@link LogWriter}. */
interface LogWriterEvents {
  /** The write with this id, and all before it, survive a power cut. */
  readonly persisted: (writeId: number) => void
  readonly failed: (error: Error) => void
}

function asError (error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error))
}

/** Hands the core's writes to the storage, and watches how long they take. */
export class LogWriter {
  readonly #storage: Storage
  readonly #events: LogWriterEvents
  /** Writes under way, oldest first, with their age in ticks: a pause of this process does not count as a slow disk. */
  #underWay: Array<{ readonly id: number, ticks: number }> = []

  constructor (storage: Storage, events: LogWriterEvents) {
    this.#storage = storage
    this.#events = events
  }

  /** Counts a tick; returns the age of the oldest write in ticks. */
  tick (): number {
    for (const write of this.#underWay) write.ticks++
    return this.#underWay[0]?.ticks ?? 0
  }

  write (write: Write): void {
    this.#underWay.push({ id: write.id, ticks: 0 })
    this.#store(write).then(
      () => {
        this.#underWay = this.#underWay.filter(({ id }) => id > write.id)
        this.#events.persisted(write.id)
      },
      (error: unknown) => { this.#events.failed(asError(error)) }
    )
  }

  /** Compacts the log after the writes so far. No write waits for it, since removing files may take long. */
  compact (through: Index): void {
    this.#storage.compact(through).catch((error: unknown) => { this.#events.failed(asError(error)) })
  }

  async #store (write: Write): Promise<void> {
    switch (write.kind) {
      case 'append': return await this.#storage.append(write)
      case 'restart': return await this.#storage.reset(write.base, write.hardState)
    }
  }
}
