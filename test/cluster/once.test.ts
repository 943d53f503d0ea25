import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import type { Entry } from './support/ledger-client.ts'
import { faultsOf, runOnceRounds } from './support/once-rounds.ts'
import { program } from './support/start-cluster.ts'

const rounds = Number(process.env.ONCE_ROUNDS ?? 3)
const app = fileURLToPath(new URL('../../build/test/cluster/tools/ledger-app.js', import.meta.url))

describe('posts through copies and a gateway while the leader is killed, paused and handed over', () => {
  it(
    `are not lost once acknowledged, run once with a key, and twice only after an unknown outcome, over ${rounds} rounds`,
    { timeout: 120_000 + rounds * 20_000 },
    async () => {
      const result = await runOnceRounds({ program, app, rounds, random: Math.random })
      process.stderr.write(`${JSON.stringify(result)}\n`)
      expect(result).toMatchObject({ rounds, lost: [], doubled: [], unexplained: [], changed: [] })
      // Each client had answers before and after each disturbance.
      expect(result.acknowledged).toBeGreaterThan(rounds * 16)
    }
  )
})

describe('the checks of those rounds', () => {
  const entry = (more: Partial<Entry>): Entry =>
    ({ id: 'x', kind: 'once', workMs: 1, acknowledged: '{}', unknown: 0, refused: null, attempts: 1, ...more })
  const stored = [new Set(['x']), new Set(['x'])]

  it.each([
    ['a request that ran once', entry({}), 1],
    ['one that was refused and did not run', entry({ acknowledged: null, refused: 'RAFT_REQUEST_LOST' }), 0],
    ['one that may run again', entry({ kind: 'again' }), 3],
    ['one without a key that ran again after an unknown outcome', entry({ kind: 'plain', unknown: 1 }), 2]
  ])('accept %s', (_what, given, runs) => {
    expect(faultsOf([given], new Map([['x', runs]]), stored)).toEqual({ lost: [], doubled: [], unexplained: [] })
  })

  it.each([
    ['an acknowledged request that never ran', entry({}), 0, stored, 'lost'],
    ['one that a copy does not store', entry({}), 1, [new Set(['x']), new Set<string>()], 'lost'],
    ['one with a key that ran twice, whatever its client saw', entry({ unknown: 5 }), 2, stored, 'doubled'],
    ['one without a key that ran twice', entry({ kind: 'plain' }), 2, stored, 'unexplained'],
    ['one that ran more often than unknown outcomes explain', entry({ kind: 'plain', unknown: 1 }), 3, stored, 'unexplained']
  ] as const)('find %s', (_what, given, runs, onCopies, fault) => {
    expect(faultsOf([given], new Map([['x', runs]]), onCopies)[fault]).toHaveLength(1)
  })
})
