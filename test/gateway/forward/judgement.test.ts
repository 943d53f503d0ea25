import { describe, expect, it } from 'vitest'
import type { AttemptFacts, FailedOutcome } from '../../../src/gateway/forward/judgement.ts'
import { judge } from '../../../src/gateway/forward/judgement.ts'
import { RetryBudget } from '../../../src/gateway/forward/retry-budget.ts'

const cause = new Error('cut')
const outcomes = {
  'not-sent': { kind: 'not-sent', cause, timedOut: false },
  'not-sent, late': { kind: 'not-sent', cause, timedOut: true },
  'not-executed': { kind: 'not-executed', nonce: null },
  lost: { kind: 'lost', cause, timedOut: false },
  'lost, late': { kind: 'lost', cause, timedOut: true },
  unusable: { kind: 'unusable', message: 'status 999' },
  unsendable: { kind: 'unsendable', message: 'a bad field' }
} satisfies Record<string, FailedOutcome>

const facts: AttemptFacts = {
  outcome: outcomes.lost,
  method: 'POST',
  repeatable: undefined,
  isKeyed: false,
  isBodyAtHand: true,
  lostAttempts: 1,
  remainingMs: 1_000,
  elapsedMs: 10,
  hasBudget: true
}

type Row = readonly [outcome: keyof typeof outcomes, given: Partial<AttemptFacts>, answer: string]

/** `again`: it is sent once more. Otherwise status and code of the refusal. */
const table: readonly Row[] = [
  // Surely not executed: whatever the method, the route, the number of attempts and the budget.
  ['not-sent', {}, 'again'],
  ['not-sent', { isBodyAtHand: false }, 'again'],
  ['not-sent', { repeatable: false, lostAttempts: 5, hasBudget: false }, 'again'],
  ['not-sent, late', { remainingMs: 0 }, 'again'],
  ['not-executed', {}, 'again'],
  ['not-executed', { repeatable: false, lostAttempts: 5, hasBudget: false }, 'again'],
  ['not-executed', { isBodyAtHand: false }, '503 RAFT_BUSY'],
  // In doubt, and it has effects.
  ['lost', {}, '502 RAFT_OUTCOME_UNKNOWN'],
  ['lost', { method: 'PUT' }, '502 RAFT_OUTCOME_UNKNOWN'],
  ['lost', { method: 'DELETE' }, '502 RAFT_OUTCOME_UNKNOWN'],
  ['lost, late', { remainingMs: 0 }, '504 RAFT_OUTCOME_UNKNOWN'],
  ['lost', { method: 'GET', repeatable: false }, '502 RAFT_OUTCOME_UNKNOWN'],
  // In doubt, and it changes nothing.
  ['lost', { method: 'GET' }, 'again'],
  ['lost', { method: 'HEAD' }, 'again'],
  ['lost', { method: 'OPTIONS' }, 'again'],
  ['lost', { method: 'GET', lostAttempts: 2 }, '502 RAFT_BAD_GATEWAY'],
  ['lost', { method: 'GET', isBodyAtHand: false }, '502 RAFT_BAD_GATEWAY'],
  ['lost', { method: 'GET', hasBudget: false }, '502 RAFT_BAD_GATEWAY'],
  ['lost', { method: 'GET', remainingMs: 0 }, '502 RAFT_BAD_GATEWAY'],
  ['lost, late', { method: 'GET', remainingMs: 0 }, '504 RAFT_TIMEOUT'],
  // The time of the attempt is over, and that of the request is not.
  ['lost, late', { method: 'GET' }, 'again'],
  // In doubt, and it may run twice.
  ['lost', { repeatable: true }, 'again'],
  ['lost', { repeatable: true, lostAttempts: 2 }, '502 RAFT_OUTCOME_UNKNOWN'],
  ['lost', { repeatable: true, isBodyAtHand: false }, '502 RAFT_OUTCOME_UNKNOWN'],
  ['lost', { repeatable: true, hasBudget: false }, '502 RAFT_OUTCOME_UNKNOWN'],
  ['lost, late', { repeatable: true, remainingMs: 0 }, '504 RAFT_OUTCOME_UNKNOWN'],
  // In doubt, and the leader knows it by its key.
  ['lost', { isKeyed: true }, 'again'],
  ['lost', { isKeyed: true, repeatable: false }, 'again'],
  ['lost', { isKeyed: true, lostAttempts: 2 }, '502 RAFT_OUTCOME_UNKNOWN'],
  ['lost', { isKeyed: true, isBodyAtHand: false }, '502 RAFT_OUTCOME_UNKNOWN'],
  ['lost', { isKeyed: true, hasBudget: false }, '502 RAFT_OUTCOME_UNKNOWN'],
  // Answered, with something that cannot be passed on.
  ['unusable', {}, '502 RAFT_OUTCOME_UNKNOWN'],
  ['unusable', { isKeyed: true }, '502 RAFT_OUTCOME_UNKNOWN'],
  ['unusable', { method: 'GET' }, '502 RAFT_BAD_GATEWAY'],
  ['unsendable', {}, '400 RAFT_BAD_REQUEST'],
  ['unsendable', { method: 'GET', isKeyed: true }, '400 RAFT_BAD_REQUEST']
]

describe('after an attempt without an answer', () => {
  it.each(table)('%s, given %o: %s', (outcome, given, answer) => {
    const verdict = judge({ ...facts, ...given, outcome: outcomes[outcome] })
    const told = verdict.kind === 'retry' ? 'again' : `${verdict.refusal.statusCode} ${verdict.refusal.code}`
    expect(told).toBe(answer)
  })

  it.each([
    ['not-sent', 'not-sent'],
    ['not-executed', 'not-executed'],
    ['lost', 'lost'],
    ['unusable', null],
    ['unsendable', null]
  ] as const)('%s counts against the node as %s', (outcome, failure) => {
    expect(judge({ ...facts, outcome: outcomes[outcome] }).failure).toBe(failure)
  })
})

describe('the budget of requests that are sent again in doubt', () => {
  function takeAll (budget: RetryBudget): number {
    let taken = 0
    while (budget.isLeft && taken < 10_000) {
      budget.take()
      taken++
    }
    return taken
  }

  it('covers all that one lost connection cuts off, and then one in five requests', () => {
    const budget = new RetryBudget(512)
    expect(takeAll(budget)).toBe(512)
    expect(takeAll(budget)).toBe(0)
    for (let request = 0; request < 1_000; request++) budget.add()
    expect(takeAll(budget)).toBeGreaterThanOrEqual(199)
    expect(takeAll(budget)).toBe(0)
  })

  it('gathers no more than it began with', () => {
    const budget = new RetryBudget(512)
    for (let request = 0; request < 10_000; request++) budget.add()
    expect(takeAll(budget)).toBeLessThanOrEqual(513)
  })
})
