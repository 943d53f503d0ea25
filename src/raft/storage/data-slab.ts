const slabBytes = 256 * 1024

/**
 * Keeps small pieces of data together in larger ones. A million entries read back would otherwise be a million
 * separate allocations, which cost several times their content in time and memory. A slab is freed when none of its
 * pieces is in use.
 */
export class DataSlab {
  #slab = new ArrayBuffer(0)
  #used = 0

  /** A copy of `data`. */
  keep (data: Uint8Array): Uint8Array {
    const { byteLength } = data
    if (byteLength > slabBytes / 4) return new Uint8Array(data)
    if (this.#used + byteLength > this.#slab.byteLength) {
      this.#slab = new ArrayBuffer(slabBytes)
      this.#used = 0
    }
    const kept = new Uint8Array(this.#slab, this.#used, byteLength)
    kept.set(data)
    this.#used += byteLength
    return kept
  }
}
