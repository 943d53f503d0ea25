interface Scheduled {
  readonly atUs: number
  readonly order: number
  readonly run: () => void
}

/** Simulated time: events run in the order of their time, and of their scheduling when the times are equal. */
export class EventQueue {
  readonly #heap: Scheduled[] = []
  #order = 0
  nowUs = 0

  at (atUs: number, run: () => void): void {
    const heap = this.#heap
    const added = { atUs: Math.max(atUs, this.nowUs), order: this.#order++, run }
    heap.push(added)
    let position = heap.length - 1
    while (position > 0) {
      const parent = (position - 1) >> 1
      const above = heap[parent]
      if (above === undefined || isBefore(above, added)) break
      heap[position] = above
      position = parent
    }
    heap[position] = added
  }

  after (delayUs: number, run: () => void): void {
    this.at(this.nowUs + delayUs, run)
  }

  /** Runs the next event; false when there is none before the end. */
  runNext (endUs: number): boolean {
    const next = this.#heap[0]
    if (next === undefined || next.atUs > endUs) {
      this.nowUs = endUs
      return false
    }
    this.#removeFirst()
    this.nowUs = next.atUs
    next.run()
    return true
  }

  #removeFirst (): void {
    const heap = this.#heap
    const moved = heap.pop()
    if (moved === undefined || heap.length === 0) return
    let position = 0
    for (;;) {
      let child = 2 * position + 1
      let smallest = heap[child]
      if (smallest === undefined) break
      const other = heap[child + 1]
      if (other !== undefined && isBefore(other, smallest)) {
        smallest = other
        child++
      }
      if (isBefore(moved, smallest)) break
      heap[position] = smallest
      position = child
    }
    heap[position] = moved
  }
}

function isBefore (left: Scheduled, right: Scheduled): boolean {
  return left.atUs < right.atUs || (left.atUs === right.atUs && left.order < right.order)
}
