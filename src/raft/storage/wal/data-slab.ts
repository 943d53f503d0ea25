const slabBytes = 256 * 1024

/**
 * Keeps small pieces of data together in larger ones. A million entries read back would otherwise be a million
 * separate allocations, which cost several times their content in time and memory. A slab is freed when none of its
 * pieces is in use.
 */
export class DataSlab {
  #slab = new Uint8Array(0)
  #used = 0

  /** A copy of the bytes from `start` to `end` of `source`. */
  keep (source: Buffer, start: number, end: number): Uint8Array {
    const bytes = end - start
    const piece = new Uint8Array(source.buffer, source.byteOffset + start, bytes)
    if (bytes > slabBytes / 4) return new Uint8Array(piece)
    if (this.#used + bytes > this.#slab.byteLength) {
      this.#slab = new Uint8Array(slabBytes)
      this.#used = 0
    }
    const kept = new Uint8Array(this.#slab.buffer, this.#used, bytes)
    kept.set(piece)
    this.#used += bytes
    return kept
  }
}
