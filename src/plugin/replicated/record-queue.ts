/** Records of one chunk. A capture copies the list of chunks, and no chunk. */
const chunkLength = 1_024

/**
 * A queue of records that never change. To add one, take the oldest and capture all of them costs no more with many
 * records than with few: whole chunks are shared with the captures.
 */
export class RecordQueue<T> {
  /** Records are only ever added to the end of a chunk. */
  readonly #chunks: T[][] = []
  /** Records of the first chunk that are gone already. */
  #gone = 0
  #length = 0

  get length (): number { return this.#length }

  /** The oldest record; undefined when there is none. */
  get oldest (): T | undefined { return this.#chunks[0]?.[this.#gone] }

  add (record: T): void {
    const last = this.#chunks.at(-1)
    if (last === undefined || last.length === chunkLength) this.#chunks.push([record])
    else last.push(record)
    this.#length++
  }

  /** Takes the oldest record away. */
  dropOldest (): void {
    if (this.#length === 0) return
    this.#length--
    this.#gone++
    if (this.#gone < chunkLength) return
    this.#chunks.shift()
    this.#gone = 0
  }

  /** The records as they are at this moment, oldest first, whatever is added or dropped while they are read. */
  capture (): Iterable<T> {
    return iterate([...this.#chunks], this.#gone, this.#length)
  }
}

function * iterate<T> (chunks: readonly (readonly T[])[], gone: number, length: number): Generator<T, void, undefined> {
  let left = length
  for (const [at, chunk] of chunks.entries()) {
    for (const record of chunk.slice(at === 0 ? gone : 0, (at === 0 ? gone : 0) + left)) {
      yield record
      left--
    }
  }
}
