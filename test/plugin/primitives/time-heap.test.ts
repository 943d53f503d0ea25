import { describe, expect, it } from 'vitest'
import { TimeHeap } from '../../../src/plugin/primitives/time-heap.ts'
import { seededRandom } from '../replicated/support/apply.ts'

interface Item {
  readonly name: number
  readonly atMs: number
}

describe('a heap of times', () => {
  it.each([1, 2, 3, 4])('has the first of what is in at hand, whatever comes and goes (seed %i)', (seed) => {
    const random = seededRandom(seed)
    const heap = new TimeHeap<number, Item>(({ name }) => name)
    const inside: Item[] = []
    for (let step = 0; step < 3_000; step++) {
      if (random(5) < 3 || inside.length === 0) {
        const item = { name: step, atMs: random(100) }
        heap.put(item)
        inside.push(item)
      } else {
        const at = random(3) === 0 ? inside.findIndex((one) => one === heap.first) : random(inside.length)
        const [item] = inside.splice(at, 1)
        if (item !== undefined) heap.remove(item.name)
      }
      expect(heap.first?.atMs).toBe(inside.length === 0 ? undefined : Math.min(...inside.map(({ atMs }) => atMs)))
    }
    const drained: number[] = []
    for (let first = heap.first; first !== undefined; first = heap.first) {
      drained.push(first.atMs)
      heap.remove(first.name)
    }
    expect(drained).toEqual(inside.map(({ atMs }) => atMs).sort((one, other) => one - other))
  })

  it('is empty once it is cleared', () => {
    const heap = new TimeHeap<number, Item>(({ name }) => name)
    heap.put({ name: 1, atMs: 1 })
    heap.clear()
    expect(heap.first).toBeUndefined()
    heap.remove(1)
    expect(heap.first).toBeUndefined()
  })

  it('has one item for each key, the last one', () => {
    const heap = new TimeHeap<number, Item>(({ name }) => name)
    heap.put({ name: 1, atMs: 1 })
    heap.put({ name: 2, atMs: 2 })
    heap.put({ name: 1, atMs: 3 })
    expect(heap.first).toEqual({ name: 2, atMs: 2 })
    heap.remove(2)
    expect(heap.first).toEqual({ name: 1, atMs: 3 })
  })
})
