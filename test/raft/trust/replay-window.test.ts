import { describe, expect, it } from 'vitest'
import { ReplayWindow } from '../../../src/raft/trust/replay-window.ts'

describe('the replay window', () => {
  it('accepts each counter once, in any order', () => {
    const window = new ReplayWindow()
    for (const counter of [1, 3, 2, 1_000, 40, 999]) {
      expect(window.accept(counter), String(counter)).toBe(true)
      expect(window.accept(counter), String(counter)).toBe(false)
    }
  })

  it('refuses what lies a window or more behind the highest, seen or not', () => {
    const window = new ReplayWindow()
    window.accept(5_000)
    expect(window.accept(5_000 - 1_024)).toBe(false)
    expect(window.accept(5_000 - 1_023)).toBe(true)
  })

  it('forgets nothing as it moves, by one or by far', () => {
    const window = new ReplayWindow()
    const accepted = new Set<number>()
    let highest = 0
    for (const step of [1, 2, 31, 32, 33, 500, 1_023, 1_024, 1_025, 3_000, 1, 1]) {
      highest += step
      expect(window.accept(highest)).toBe(true)
      accepted.add(highest)
      for (let counter = Math.max(1, highest - 1_023); counter <= highest; counter += 7) {
        expect(window.accept(counter), `${counter} of ${highest}`).toBe(!accepted.has(counter))
        accepted.add(counter)
      }
    }
  })

  it.each([0, -1, 0.5, NaN, Infinity, 2 ** 53])('refuses %d', (counter) => {
    expect(new ReplayWindow().accept(counter)).toBe(false)
  })
})
