import { describe, expect, it } from 'vitest'
import { SequenceWindow } from '../../../src/raft/state/sequence-window.ts'

function filled (count: number): SequenceWindow<{ readonly name: number }> {
  const window = new SequenceWindow<{ readonly name: number }>()
  for (let name = 1; name <= count; name++) expect(window.add({ name })).toBe(name)
  return window
}

function namesOf (window: SequenceWindow<{ readonly name: number }>): number[] {
  return [...window].map(({ name }) => name)
}

describe('a sequence window', () => {
  it('starts empty, and its next number is 1', () => {
    const window = filled(0)
    expect(window).toMatchObject({ size: 0, lowest: 1, next: 1 })
    expect([window.get(0), window.get(1), namesOf(window)]).toEqual([undefined, undefined, []])
  })

  it('holds items until they are deleted, and begins at the lowest remaining number', () => {
    const window = filled(4)
    window.delete(2)
    expect(window).toMatchObject({ size: 3, lowest: 1, next: 5 })
    window.delete(1)
    expect(window).toMatchObject({ size: 2, lowest: 3, next: 5 })
    expect(namesOf(window)).toEqual([3, 4])
    expect([1, 2, 3, 4, 5].map((sequence) => window.get(sequence)?.name)).toEqual([
      undefined,
      undefined,
      3,
      4,
      undefined
    ])
    for (const sequence of [1, 5, 0, -1, 3, 4]) window.delete(sequence)
    expect(window).toMatchObject({ size: 0, lowest: 5, next: 5 })
  })

  it('grows with any number of items while the lowest stays', () => {
    const window = filled(1_000)
    for (let sequence = 2; sequence <= 999; sequence++) window.delete(sequence)
    expect(window).toMatchObject({ size: 2, lowest: 1, next: 1_001 })
    expect(namesOf(window)).toEqual([1, 1_000])
  })

  it('never confuses numbers that share a place in the ring', () => {
    const window = filled(60)
    for (let sequence = 1; sequence <= 10_000; sequence++) {
      window.delete(sequence)
      window.add({ name: sequence + 60 })
      expect(window.get(sequence)).toBeUndefined()
    }
    expect(window).toMatchObject({ size: 60, lowest: 10_001, next: 10_061 })
    expect(namesOf(window)).toEqual(Array.from({ length: 60 }, (_, at) => 10_001 + at))
  })

  it('accepts items under given numbers, in any order and from any start', () => {
    const window = filled(0)
    for (const name of [1_000_000, 1_000_040, 999_990, 1_000_005]) window.set(name, { name })
    expect(window).toMatchObject({ size: 4, lowest: 999_990, next: 1_000_041 })
    expect(namesOf(window)).toEqual([999_990, 1_000_000, 1_000_005, 1_000_040])
    expect([...window.entries()].map(([sequence]) => sequence)).toEqual(namesOf(window))
    window.set(1_000_005, { name: 5 })
    expect(window.get(1_000_005)).toEqual({ name: 5 })
    expect(window.size).toBe(4)
    for (const sequence of [999_990, 1_000_000, 1_000_005, 1_000_040]) window.delete(sequence)
    expect(window).toMatchObject({ size: 0, lowest: 1_000_041, next: 1_000_041 })
    window.set(1_000_020, { name: 20 })
    expect(window).toMatchObject({ size: 1, lowest: 1_000_020, next: 1_000_041 })
    expect(namesOf(window)).toEqual([20])
  })

  it('reuses no number after it was cleared', () => {
    const window = filled(3)
    window.clear()
    expect(window).toMatchObject({ size: 0, lowest: 4, next: 4 })
    expect(window.add({ name: 9 })).toBe(4)
    expect(namesOf(window)).toEqual([9])
  })

  it('lets items be deleted during an iteration', () => {
    const window = filled(5)
    const seen: number[] = []
    for (const { name } of window) {
      seen.push(name)
      window.delete(name)
      window.delete(name + 1)
    }
    expect(seen).toEqual([1, 3, 5])
    expect(window.size).toBe(0)
  })
})
