import { describe, expect, it } from 'vitest'
import { SimRandom } from '../sim/random.ts'
import { hasReturned } from './history.ts'
import type { Model } from './index.ts'
import { checkHistory, keyValueModel, lockModel, registerModel, replicatedMapModel } from './index.ts'
import { isLinearizableByBruteForce } from './support/brute-force.ts'
import { mutate } from './support/mutate.ts'
import {
  simulatedKeyValue,
  simulatedLock,
  simulatedMap,
  simulatedRegister,
  simulatedUniqueRegister
} from './support/objects.ts'
import type { SequentialObject } from './support/simulate.ts'
import { simulateHistory } from './support/simulate.ts'

const rounds = 300

interface Subject {
  readonly name: string
  readonly acceptsAll: (random: SimRandom) => void
  readonly agreesWithBruteForce: (random: SimRandom, tally: Map<string, number>) => void
}

function subject<ModelState, State, Input extends { readonly kind: string }, Output> (
  name: string,
  model: Model<ModelState, Input, Output>,
  object: SequentialObject<State, Input, Output>,
  maxUnknown = 0.4
): Subject {
  return {
    name,
    acceptsAll: (random) => {
      const load = {
        processes: random.between(1, 8),
        operations: random.between(1, 80),
        unknown: random.pick([0, 0.1, maxUnknown])
      }
      expect(checkHistory(model, simulateHistory(random, object, load)).verdict).toBe('linearizable')
    },
    agreesWithBruteForce: (random, tally) => {
      const load = {
        processes: random.between(1, 3),
        operations: random.between(3, 8),
        unknown: random.pick([0, 0.2])
      }
      let history = simulateHistory(random, object, load)
      for (let count = random.between(0, 3); count > 0; count--) history = mutate(random, history)
      const answer = checkHistory(model, history)
      const { verdict } = answer
      expect(verdict, JSON.stringify(history)).toBe(
        isLinearizableByBruteForce(model, history) ? 'linearizable' : 'violation'
      )
      if (answer.verdict === 'violation') {
        expect(isLinearizableByBruteForce(model, answer.history)).toBe(false)
        const { returnedAt } = answer.culprit.outcome
        const before = answer.history.map((operation) =>
          hasReturned(operation) && operation.outcome.returnedAt === returnedAt
            ? ({ ...operation, outcome: { kind: 'unknown' } } as const)
            : operation
        )
        expect(isLinearizableByBruteForce(model, before)).toBe(true)
      }
      tally.set(verdict, (tally.get(verdict) ?? 0) + 1)
    }
  }
}

const subjects: readonly Subject[] = [
  subject('register', registerModel, simulatedRegister),
  subject('register of unique values', registerModel, simulatedUniqueRegister),
  // Appends without an answer may have happened in any order: too many of them and the check is undecided.
  subject('key-value', keyValueModel, simulatedKeyValue, 0.1),
  subject('replicated map', replicatedMapModel, simulatedMap),
  subject('lock', lockModel, simulatedLock)
]

describe.each(subjects)('$name', ({ acceptsAll, agreesWithBruteForce }) => {
  it('is accepted with overlapping calls and lost answers', () => {
    for (let seed = 1; seed <= rounds; seed++) acceptsAll(new SimRandom(seed))
  })

  it('gets the verdict of brute force, and the shortest counter-example, on correct histories and on mutated ones', () => {
    const tally = new Map<string, number>()
    for (let seed = 1; seed <= rounds; seed++) agreesWithBruteForce(new SimRandom(seed), tally)
    expect(tally.get('violation')).toBeGreaterThan(rounds / 10)
    expect(tally.get('linearizable')).toBeGreaterThan(rounds / 10)
  })
})
