import { describe, expect, it } from 'vitest'
import { doubledWrites, lostWrites, runKillRounds } from './support/kill-rounds.ts'
import { contradictionsIn } from './support/leaderships.ts'
import { startCluster } from './support/start-cluster.ts'

const rounds = Number(process.env.KILL_ROUNDS ?? 3)

describe('a cluster whose leader is killed again and again', () => {
  it(
    `loses nothing, applies nothing twice and has one leader a term, over ${rounds} rounds`,
    { timeout: 60_000 + rounds * 15_000 },
    async () => {
      const cluster = await startCluster({ gateway: false })
      try {
        const result = await runKillRounds(cluster, { rounds, victim: 'leader', random: Math.random })
        expect(result).toMatchObject({ rounds, lost: [], doubled: [], leaders: [], diverged: [] })
        // Each round had writes before the kill and after it, and a new leader.
        expect(result.acknowledged).toBeGreaterThan(rounds * 8)
        expect(result.terms).toBeGreaterThan(rounds)
      } finally {
        await cluster.stop()
      }
    }
  )
})

describe('the checks of those rounds', () => {
  const writer = {
    unique: [{ key: 'u1', value: 'a', revision: 5 }, { key: 'u2', value: 'b', revision: null }],
    lists: [{ key: 'l', acknowledged: [1, 2], unknown: new Set([3]), uncertain: false }]
  }
  const nodeWith = (list: number[], u1: object | null = { value: 'a', revision: 5 }) => new Map([['n1', [
    ...(u1 === null ? [] : [{ key: 'u1', ...u1 } as { key: string, value: unknown, revision: number }]),
    { key: 'l', value: list, revision: 9 }
  ]]])

  it('accept kept promises, with or without the writes of unknown outcome', () => {
    for (const list of [[1, 2], [1, 2, 3]]) {
      expect(lostWrites(writer, nodeWith(list))).toEqual([])
      expect(doubledWrites(writer, nodeWith(list))).toEqual([])
    }
  })

  it('find a lost key, a changed one and one that was written again', () => {
    expect(lostWrites(writer, nodeWith([1, 2], null))).toHaveLength(1)
    expect(lostWrites(writer, nodeWith([1, 2], { value: 'x', revision: 5 }))).toHaveLength(1)
    expect(lostWrites(writer, nodeWith([1, 2], { value: 'a', revision: 6 }))).toHaveLength(1)
  })

  it('find a lost append, a repeated one and a foreign one', () => {
    expect(lostWrites(writer, nodeWith([1]))).toEqual(['2 in l on n1'])
    expect(doubledWrites(writer, nodeWith([1, 2, 2]))).toEqual(['2 at 2 of l on n1'])
    expect(doubledWrites(writer, nodeWith([1, 2, 7]))).toEqual(['7 at 2 of l on n1'])
  })

  it('find two leaders in a term and a falling token', () => {
    expect(
      contradictionsIn([
        { node: 'n1', term: 1, token: 1 },
        { node: 'n2', term: 1, token: null }
      ])
    ).toEqual(['term 1 had the leaders n1, n2'])
    expect(
      contradictionsIn([
        { node: 'n1', term: 1, token: 7 },
        { node: 'n2', term: 2, token: 7 }
      ])
    ).toEqual(['the token of term 2 did not rise above 7'])
    expect(contradictionsIn([{ node: 'n1', term: 1, token: 7 }, { node: 'n2', term: 2, token: 8 }])).toEqual([])
  })
})
