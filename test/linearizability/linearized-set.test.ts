import { describe, expect, it } from 'vitest'
import { SimRandom } from '../sim/random.ts'
import { LinearizedSet } from './linearized-set.ts'

describe('LinearizedSet', () => {
  it('depends only on the numbers in it, not on their order', () => {
    for (let seed = 1; seed <= 20; seed++) {
      const random = new SimRandom(seed)
      const chosen = random
        .shuffled(Array.from({ length: 150 }, (_, number) => number))
        .slice(0, random.between(1, 150))
      const put = (numbers: readonly number[]): LinearizedSet =>
        numbers.reduce((set, number) => set.with(number), LinearizedSet.empty)
      const set = put(chosen)
      const members = new Set(chosen)
      const missing = Array.from({ length: 151 }, (_, number) => number).filter((number) => !members.has(number))
      expect(chosen.every((number) => set.has(number))).toBe(true)
      expect(missing.some((number) => set.has(number))).toBe(false)
      expect(set.low).toBe(missing[0])
      expect(put(random.shuffled(chosen)).identify()).toBe(set.identify())
      for (const number of missing) expect(set.with(number).identify()).not.toBe(set.identify())
      expect(set.has(missing[0] ?? 0)).toBe(false)
    }
  })
})
