import { describe, expect, it } from 'vitest'
import type { LockInput, LockOutput, Operation } from '../index.ts'
import { checkHistory, lockModel } from '../index.ts'
import { returned, unanswered } from '../support/at.ts'

type Step = readonly [LockInput, LockOutput | null]

function acquire (request: string): LockInput {
  return { kind: 'acquire', lock: 'l', request }
}
function renew (token: number): LockInput {
  return { kind: 'renew', lock: 'l', token }
}
function release (token: number): LockInput {
  return { kind: 'release', lock: 'l', token }
}
function expire (request: string): LockInput {
  return { kind: 'expire', lock: 'l', request }
}
function granted (token: number): LockOutput {
  return { kind: 'granted', token }
}
function held (token?: number): LockOutput {
  return token === undefined ? { kind: 'held' } : { kind: 'held', token }
}
const [renewed, released, stale]: readonly [LockOutput, LockOutput, LockOutput] = [
  { kind: 'renewed' },
  { kind: 'released' },
  { kind: 'stale' }
]

/** Operations one after the other; null for no answer. */
function inOrder (...steps: readonly Step[]): string {
  const history = steps.map(([input, output], position): Operation<LockInput, LockOutput> =>
    output === null ? unanswered(2 * position, input) : returned(2 * position, 2 * position + 1, input, output))
  return checkHistory(lockModel, history).verdict
}

describe('lockModel', () => {
  it.each<[string, ...Step[]]>([
    [
      'one holder after the other',
      [acquire('a'), granted(3)],
      [acquire('b'), held(3)],
      [release(3), released],
      [acquire('b'), granted(5)]
    ],
    ['a renewal', [acquire('a'), granted(3)], [renew(3), renewed], [renew(2), stale]],
    [
      'an expiry',
      [acquire('a'), granted(3)],
      [expire('a'), null],
      [acquire('b'), granted(6)],
      [renew(3), stale],
      [release(3), stale]
    ],
    [
      'an expiry that has not come yet',
      [acquire('a'), granted(3)],
      [expire('a'), null],
      [acquire('b'), held(3)],
      [renew(3), renewed]
    ],
    [
      'a lost grant',
      [acquire('a'), null],
      [acquire('b'), held()],
      [acquire('b'), held(4)],
      [expire('a'), null],
      [acquire('b'), granted(5)]
    ],
    ['a lost request', [acquire('a'), null], [acquire('b'), granted(2)]],
    [
      'a lost release',
      [acquire('a'), granted(3)],
      [release(3), null],
      [acquire('b'), held(3)],
      [acquire('b'), granted(4)]
    ]
  ])('accepts %s', (_name, ...steps) => {
    expect(inOrder(...steps)).toBe('linearizable')
  })

  it.each<[string, ...Step[]]>([
    ['two holders at once', [acquire('a'), granted(3)], [acquire('b'), granted(4)]],
    ['a token that does not rise', [acquire('a'), granted(3)], [release(3), released], [acquire('b'), granted(3)]],
    [
      'a token that falls across an expiry',
      [acquire('a'), granted(3)],
      [expire('a'), null],
      [acquire('b'), granted(2)]
    ],
    ['a refusal of a free lock', [acquire('a'), granted(3)], [release(3), released], [acquire('b'), held()]],
    ['a release with the token of another', [acquire('a'), granted(3)], [release(2), released]],
    ['a renewal after the release', [acquire('a'), granted(3)], [release(3), released], [renew(3), renewed]],
    [
      'a renewal after the next grant',
      [acquire('a'), granted(3)],
      [expire('a'), null],
      [acquire('b'), granted(4)],
      [renew(3), renewed]
    ],
    ['a holder called stale', [acquire('a'), granted(3)], [release(3), stale]],
    [
      'an expiry that frees the next holder too',
      [acquire('a'), granted(3)],
      [expire('a'), null],
      [acquire('b'), granted(4)],
      [acquire('c'), granted(5)]
    ]
  ])('refuses %s', (_name, ...steps) => {
    expect(inOrder(...steps)).toBe('violation')
  })
})
