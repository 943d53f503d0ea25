import { randomInt } from 'node:crypto'
import { writeFully } from './file-operations.ts'
import { encodeGroup } from './group.ts'
import type { OpenFile } from './file-operations.ts'
import type { StorageBatch } from './storage.ts'

/**
 * Writes groups one behind the other. Not to be used again after a call of it has failed.
 */
export class LogWriter {
  readonly #file: OpenFile
  readonly #seed: number
  readonly #session = randomInt(2 ** 32)
  #position: number

  constructor (file: OpenFile, seed: number, position: number) {
    this.#file = file
    this.#seed = seed
    this.#position = position
  }

  /** Makes the batches durable as one group: one write, one sync. */
  async write (batches: readonly StorageBatch[]): Promise<void> {
    if (batches.every((batch) => batch.hardState === null && batch.entries.length === 0)) return
    const group = encodeGroup(batches, { position: this.#position, seed: this.#seed, session: this.#session })
    await writeFully(this.#file, group, this.#position)
    await this.#file.dataSync()
    this.#position += group.length
  }
}
