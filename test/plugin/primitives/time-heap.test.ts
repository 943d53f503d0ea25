import { describe, expect, it } from 'vitest'
import { TimeHeap } from '../../../src/plugin/primitives/time-heap.ts'
import { seededRandom } from '../replicated/support/apply.ts'

interface Item {
  readonly atMs: number
  place: number
}

describe('a heap of times', () => {
  it.each([1, 2, 3, 4])('has the first of what is in at hand, whatever comes and goes (seed %i)', (seed) => {
    const random = seededRandom(seed)
    const heap = new TimeHeap<Item>()
    const inside: Item[] = []
    for (let step = 0; step < 3_000; step++) {
      if (random(5) < 3 || inside.length === 0) {
        const item = { atMs: random(100), place: 0 }
        heap.add(item)
        inside.push(item)
      } else {
        const at = random(3) === 0 ? inside.findIndex((one) => one === heap.first) : random(inside.length)
        const [item] = inside.splice(at, 1)
        if (item !== undefined) heap.remove(item)
      }
      expect(heap.first?.atMs).toBe(inside.length === 0 ? undefined : Math.min(...inside.map(({ atMs }) => atMs)))
    }
    const drained: number[] = []
    for (let first = heap.first; first !== undefined; first = heap.first) {
      drained.push(first.atMs)
      heap.remove(first)
    }
    expect(drained).toEqual(inside.map(({ atMs }) => atMs).sort((one, other) => one - other))
  })

  it('is empty once it is cleared', () => {
    const heap = new TimeHeap<Item>()
    heap.add({ atMs: 1, place: 0 })
    heap.clear()
    expect(heap.first).toBeUndefined()
  })
})
