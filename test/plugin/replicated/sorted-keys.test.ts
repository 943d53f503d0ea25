import { describe, expect, it } from 'vitest'
import { SortedKeys } from '../../../src/plugin/replicated/sorted-keys.ts'

function random (seed: number): (below: number) => number {
  let state = seed
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((state / 2 ** 32) * below)
  }
}

describe('sorted keys', () => {
  it.each([1, 2, 3, 4])('are what sorting gives, through additions, removals and walks, from any key on (%i)', (seed) => {
    const below = random(seed)
    const keys = new SortedKeys()
    const model = new Set<string>()
    const walks: Array<{ readonly walk: Iterator<string>, readonly expected: string[] }> = []
    const sorted = (): string[] => [...model].sort()
    for (let round = 0; round < 30; round++) {
      const shrinks = round % 10 >= 7
      for (let change = 0; change < 700; change++) {
        const key = below(4) === 0 ? `\u{1f600}${below(500)}` : `\uffee-${below(3_000)}`
        if (!model.has(key) && !shrinks) {
          model.add(key)
          keys.add(key)
        } else if (model.has(key) && (shrinks || below(3) === 0)) {
          model.delete(key)
          keys.delete(key)
        }
      }
      const after = sorted()[below(model.size + 1)] ?? ''
      const isBefore = (key: string): boolean => key <= after
      expect([...keys.from(isBefore)]).toEqual(sorted().filter((key) => !isBefore(key)))
      walks.push({ walk: keys.snapshotFrom(() => false), expected: sorted() })
    }
    for (const { walk, expected } of walks) expect([...{ [Symbol.iterator]: () => walk }]).toEqual(expected)
    for (const key of sorted()) keys.delete(key)
    expect([...keys.from(() => false)]).toEqual([])
  })

  it('take keys in order and in reverse', () => {
    const up = new SortedKeys()
    const down = new SortedKeys()
    const all = Array.from({ length: 5_000 }, (_item, at) => String(at).padStart(5, '0'))
    for (const key of all) up.add(key)
    for (const key of all.toReversed()) down.add(key)
    expect([...up.from(() => false)]).toEqual(all)
    expect([...down.from(() => false)]).toEqual(all)
  })
})
