import { describe, expect, it } from 'vitest'
import { asIndex, asTerm } from '../../src/raft/core/index.ts'
import { SimRandom } from '../sim/random.ts'
import { contradictingLogs, isUnharmed, runPowerCuts } from './support/power-cut-rounds.ts'

const rounds = 8

describe('a power cut of all nodes', () => {
  it('loses nothing that was acknowledged, and the cluster goes on with what the disks kept', async () => {
    const random = new SimRandom(20_261_128, 'power')
    const result = await runPowerCuts({ rounds, random: () => random.next() })
    expect(result).toMatchObject({ rounds, lost: [], doubled: [], leaders: [], diverged: [], failures: [] })
    expect(isUnharmed(result)).toBe(true)
    expect(result.acknowledged).toBeGreaterThan(rounds * 8)
    expect(result.terms).toBeGreaterThan(rounds)
  }, 120_000)
})

describe('the comparison of logs', () => {
  const log = (...terms: readonly number[]) => ({
    entries: terms.map((term, position) =>
      ({ index: asIndex(position + 1), term: asTerm(term), kind: 'noop', timeMs: 0 } as const))
  })

  it('accepts logs that agree up to some index and differ behind it', () => {
    expect(contradictingLogs(new Map([['n1', log(1, 1, 2)], ['n2', log(1, 1, 3, 3)], ['n3', log()]]))).toEqual([])
  })

  it('finds logs that differ before an entry that both hold', () => {
    expect(contradictingLogs(new Map([['n1', log(1, 1, 3)], ['n2', log(1, 2, 3)]]))).toEqual([
      'n1 and n2 agree at index 3 and differ at 2'
    ])
  })
})
