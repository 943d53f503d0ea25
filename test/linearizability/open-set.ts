/** Which of the operations without an answer have taken effect, as a bit set of fixed size. Immutable. */
export type OpenSet = Uint32Array

export function emptyOpenSet (size: number): OpenSet {
  return new Uint32Array((size + 31) >>> 5)
}

export function inOpenSet (set: OpenSet, number: number): boolean {
  return (((set[number >>> 5] ?? 0) >>> (number & 31)) & 1) === 1
}

/** The set with one more number. */
export function withOpen (set: OpenSet, number: number): OpenSet {
  const copy = set.slice()
  copy[number >>> 5] = (copy[number >>> 5] ?? 0) | (1 << (number & 31))
  return copy
}

/** Whether all of `left` is in `right`; both of the same size. */
export function isWithin (left: OpenSet, right: OpenSet): boolean {
  for (let word = 0; word < left.length; word++) {
    if (((left[word] ?? 0) & ~(right[word] ?? 0)) !== 0) return false
  }
  return true
}
