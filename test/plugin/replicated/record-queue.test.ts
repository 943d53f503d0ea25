import { describe, expect, it } from 'vitest'
import { RecordQueue } from '../../../src/plugin/replicated/record-queue.ts'
import { seededRandom } from './support/apply.ts'

describe('the queue of records', () => {
  it.each([1, 2, 3])('is a list, and its captures stay as they were (seed %i)', (seed) => {
    const random = seededRandom(seed)
    const queue = new RecordQueue<{ readonly at: number }>()
    const list: Array<{ readonly at: number }> = []
    const captures: Array<{ readonly captured: Iterable<unknown>, readonly expected: readonly unknown[] }> = []
    for (let round = 0; round < 60; round++) {
      const adds = random(2) === 0
      for (let count = random(900); count > 0; count--) {
        if (adds) {
          const record = { at: list.length }
          queue.add(record)
          list.push(record)
        } else {
          queue.dropOldest()
          list.shift()
        }
        expect(queue.oldest).toBe(list[0])
      }
      expect(queue.length).toBe(list.length)
      captures.push({ captured: queue.capture(), expected: [...list] })
    }
    for (const { captured, expected } of captures) expect([...captured]).toEqual(expected)
  })
})
