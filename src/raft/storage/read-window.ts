import { readFully } from './file-operations.ts'
import type { OpenFile } from './file-operations.ts'

const chunkBytes = 1024 * 1024

/**
 * A view of a file that moves forward in chunks, so that a log is never in memory as a whole.
 */
export class ReadWindow {
  readonly size: number
  readonly #file: OpenFile
  #buffer: Buffer = Buffer.alloc(0)
  #loaded: Buffer = Buffer.alloc(0)
  #start = 0

  constructor (file: OpenFile, size: number) {
    this.#file = file
    this.size = size
  }

  /** The bytes asked for when they are loaded, otherwise null. Valid until the next {@link load}. */
  peek (position: number, length: number): Buffer | null {
    const offset = position - this.#start
    if (offset < 0 || offset + length > this.#loaded.length) return null
    return this.#loaded.subarray(offset, offset + length)
  }

  /** Reads on from `position`. The bytes asked for must lie within the file; they are valid until the next load. */
  async load (position: number, length: number): Promise<Buffer> {
    const wanted = Math.min(Math.max(length, chunkBytes), this.size - position)
    if (wanted < length) throw new RangeError(`bytes ${position} to ${position + length} are outside the file`)
    if (this.#buffer.length < wanted) this.#buffer = Buffer.allocUnsafe(wanted)
    const loaded = this.#buffer.subarray(0, wanted)
    // A failed read must not leave a mixture behind that peek would hand out.
    this.#loaded = loaded.subarray(0, 0)
    await readFully(this.#file, loaded, position)
    this.#start = position
    this.#loaded = loaded
    return loaded.subarray(0, length)
  }

  /**
   * The bytes from `from` to `to` in order, in pieces that end at multiples of the chunk size, each followed by the
   * first `overlap` bytes of the next one.
   */
  async * pieces (from: number, to: number, overlap = 0): AsyncGenerator<{ readonly position: number, readonly bytes: Buffer }> {
    for (let position = from; position < to;) {
      const end = Math.min(to, position - (position % chunkBytes) + chunkBytes)
      yield { position, bytes: await this.load(position, Math.min(to, end + overlap) - position) }
      position = end
    }
  }
}
