import { describe, expect, it } from 'vitest'
import { SimRandom } from '../sim/random.ts'
import { hasReturned } from './history.ts'
import type { Operation, ReturnedOperation } from './index.ts'
import { checkHistory, keyValueModel, registerModel, replicatedMapModel } from './index.ts'
import { withOutput } from './support/mutate.ts'
import { simulatedKeyValue, simulatedMap, simulatedUniqueRegister } from './support/objects.ts'
import { simulateHistory } from './support/simulate.ts'

const seeds = Array.from({ length: 60 }, (_, seed) => seed + 1)
const load = { processes: 4, operations: 40, unknown: 0.1 }

// A put may hide an append that it overlaps: without puts, every append stays to be seen.
const appendsAndGets: typeof simulatedKeyValue = {
  ...simulatedKeyValue,
  draw: (random, _state, serial) =>
    random.chance(0.5) ? { kind: 'get', key: 'a' } : { kind: 'append', key: 'a', value: `<${serial}>` }
}

function isBefore (left: ReturnedOperation<unknown, unknown>, right: Operation<unknown, unknown>): boolean {
  return left.outcome.returnedAt < right.calledAt
}

/** The verdicts about the histories that could be spoilt; there must be enough of them to mean something. */
function verdictsOf (spoil: (random: SimRandom) => { readonly verdict: string } | null): Set<string> {
  const answers = seeds.map((seed) => spoil(new SimRandom(seed))).filter((answer) => answer !== null)
  expect(answers.length).toBeGreaterThan(seeds.length / 2)
  return new Set(answers.map(({ verdict }) => verdict))
}

describe('a history with an anomaly is refused', () => {
  it('when a read returns a value that had been overwritten before it began', () => {
    expect(verdictsOf((random) => {
      const history = simulateHistory(random, simulatedUniqueRegister, load)
      const stale = staleRead(history.filter(hasReturned))
      return stale === null
        ? null
        : checkHistory(registerModel, withOutput(history, stale.read, { kind: 'read', value: stale.value }))
    })).toEqual(new Set(['violation']))
  })

  it('when a get misses an append that had returned before it began', () => {
    expect(verdictsOf((random) => {
      const history = simulateHistory(random, appendsAndGets, { ...load, unknown: 0.05 })
      const returned = history.filter(hasReturned)
      for (const append of returned) {
        const { input } = append
        if (input.kind !== 'append') continue
        for (const get of returned) {
          const { output } = get.outcome
          if (output.kind !== 'got' || !output.value.includes(input.value) || !isBefore(append, get)) continue
          return checkHistory(
            keyValueModel,
            withOutput(history, get, { kind: 'got', value: output.value.replace(input.value, '') })
          )
        }
      }
      return null
    })).toEqual(new Set(['violation']))
  })

  it('when two writes to the same revision of a key both succeed', () => {
    expect(verdictsOf((random) => {
      const history = simulateHistory(random, simulatedMap, load)
      const winner = history
        .filter(hasReturned)
        .find(
          ({ input, outcome }) =>
            input.kind === 'set' &&
            input.ifRevision !== undefined &&
            input.ifRevision !== 0 &&
            outcome.output.kind === 'written'
        )
      if (winner === undefined) return null
      const loser = {
        ...winner,
        process: 'loser',
        outcome: { ...winner.outcome, output: { kind: 'written', revision: 1_000 } }
      } as const
      return checkHistory(replicatedMapModel, [...history, loser])
    })).toEqual(new Set(['violation']))
  })
})

/** A read, and a value that was written and overwritten before it began. */
function staleRead<Input extends { readonly kind: string }, Output> (
  returned: ReadonlyArray<ReturnedOperation<Input, Output>>
): { readonly read: ReturnedOperation<Input, Output>, readonly value: number } | null {
  const writes = returned.filter(({ input }) => input.kind === 'write')
  for (const read of returned.filter(({ input }) => input.kind === 'read')) {
    const second = writes.find((write) => isBefore(write, read) && writes.some((first) => isBefore(first, write)))
    const first = second && writes.find((write) => isBefore(write, second))
    if (first !== undefined && 'value' in first.input && typeof first.input.value === 'number') {
      return { read, value: first.input.value }
    }
  }
  return null
}
