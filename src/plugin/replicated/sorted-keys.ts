/** At most so many keys in one chunk: what an insertion moves, and what it copies while a walk is under way. */
const maxChunkLength = 512

interface Chunk {
  /** In order, and never empty. */
  keys: string[]
  /** Walks that began since this array was made: they see it as it is, so that a change copies it first. */
  generation: number
}

/**
 * A set of keys in order, by UTF-16 code units: a sorted list of sorted chunks. To insert, to remove and to find cost
 * the logarithm of the number of keys and a move within one chunk; some ten bytes a key.
 */
export class SortedKeys {
  #chunks: Chunk[] = []
  #generation = 0

  /** Adds a key that is not there yet. */
  add (key: string): void {
    const at = Math.max(0, this.#chunkOf(key))
    const chunk = this.#own(at)
    if (chunk === undefined) {
      this.#chunks.push({ keys: [key], generation: this.#generation })
      return
    }
    const { keys } = chunk
    const place = firstIndex(keys, (other) => other < key)
    if (keys.length < maxChunkLength) {
      keys.splice(place, 0, key)
      return
    }
    // Keys that come in order leave full chunks behind.
    const isLast = at === this.#chunks.length - 1 && place === keys.length
    const rest = keys.splice(isLast ? keys.length : keys.length >>> 1)
    this.#chunks.splice(at + 1, 0, { keys: rest, generation: this.#generation })
    if (place >= keys.length) rest.splice(place - keys.length, 0, key)
    else keys.splice(place, 0, key)
  }

  /** Removes a key that is there. */
  delete (key: string): void {
    const at = this.#chunkOf(key)
    const chunk = this.#own(at)
    if (chunk === undefined) return
    chunk.keys.splice(firstIndex(chunk.keys, (other) => other < key), 1)
    const next = this.#chunks[at + 1]
    if (chunk.keys.length === 0) this.#chunks.splice(at, 1)
    else if (next !== undefined && chunk.keys.length + next.keys.length <= maxChunkLength >>> 1) {
      chunk.keys.push(...next.keys)
      this.#chunks.splice(at + 1, 1)
    }
  }

  /** The keys from the first one that is not before, as there are now: not to be used after the next change. */
  * from (isBefore: (key: string) => boolean): Generator<string, void, undefined> {
    yield * keysFrom(this.#chunks, isBefore)
  }

  /** As {@link SortedKeys.from}, for a caller that takes its time: later changes do not show. */
  snapshotFrom (isBefore: (key: string) => boolean): Generator<string, void, undefined> {
    this.#generation++
    return keysFrom(this.#chunks.map(({ keys }) => ({ keys })), isBefore)
  }

  /** The chunk that holds a key or where it belongs: the last one that does not begin behind it, or -1. */
  #chunkOf (key: string): number {
    return firstIndex(this.#chunks, ({ keys: [first = ''] }) => first <= key) - 1
  }

  #own (at: number): Chunk | undefined {
    const chunk = this.#chunks[at]
    if (chunk === undefined || chunk.generation === this.#generation) return chunk
    chunk.keys = [...chunk.keys]
    chunk.generation = this.#generation
    return chunk
  }
}

function * keysFrom (
  chunks: ReadonlyArray<Pick<Chunk, 'keys'>>,
  isBefore: (key: string) => boolean
): Generator<string, void, undefined> {
  let at = firstIndex(chunks, ({ keys }) => isBefore(keys.at(-1) ?? ''))
  let place = firstIndex(chunks[at]?.keys ?? [], isBefore)
  for (; at < chunks.length; at++, place = 0) {
    const keys = chunks[at]?.keys ?? []
    for (; place < keys.length; place++) yield keys[place] ?? ''
  }
}

/** The first place, by binary search, of an item that is not before. */
function firstIndex<Item> (items: readonly Item[], isBefore: (item: Item) => boolean): number {
  let low = 0
  let high = items.length
  while (low < high) {
    const middle = (low + high) >>> 1
    const item = items[middle]
    if (item !== undefined && isBefore(item)) low = middle + 1
    else high = middle
  }
  return low
}
