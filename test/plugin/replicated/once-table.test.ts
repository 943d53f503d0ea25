import { describe, expect, it } from 'vitest'
import { limits } from '../../../src/plugin/replicated/limits.ts'
import { TestMachine } from './support/apply.ts'

/** A machine with an open session at index 2. */
function withSession (): TestMachine {
  const test = new TestMachine()
  test.lead()
  test.apply({ kind: 'session-open', owner: 'n1', requestId: 's', ttlMs: 10_000 })
  return test
}

function begin (run: string, name = 'o') {
  return { kind: 'once-begin', name, version: '1', node: 'n1', run, session: 2 } as const
}

function finish (run: string, failed = false) {
  return { kind: 'once-finish', name: 'o', version: '1', run, failed, text: failed ? 'no' : '{}' } as const
}

describe('the table of work that is done once', () => {
  it('lets one attempt begin, and none when the work is done', () => {
    const test = withSession()
    expect(test.apply(begin('r1'))).toEqual({ kind: 'once-begun', name: 'o', token: 3, attempt: 1, previous: null })
    expect(test.apply(begin('r1'))).toMatchObject({ kind: 'once-begun', token: 3 })
    expect(test.apply(begin('r2'))).toEqual({ kind: 'once-running', name: 'o' })
    expect(test.apply(finish('r2'))).toEqual({ kind: 'stale', name: 'o' })
    expect(test.apply(finish('r1'))).toEqual({ kind: 'once-ended', name: 'o' })
    expect(test.apply(finish('r1'))).toEqual({ kind: 'stale', name: 'o' })
    expect(test.apply(begin('r2'))).toEqual({ kind: 'once-done', name: 'o', text: '{}' })
  })

  it('opens the work again when an attempt failed, and when its session ended', () => {
    const test = withSession()
    test.apply(begin('r1'))
    test.apply(finish('r1', true))
    expect(test.machine.once.get('o', '1')).toMatchObject({ state: 'open', text: 'no' })
    expect(test.apply(begin('r2'))).toMatchObject({ attempt: 2, previous: 'failed' })
    test.apply({ kind: 'session-end', session: 2 })
    expect(test.apply(finish('r2'))).toEqual({ kind: 'stale', name: 'o' })
    expect(test.apply(begin('r3'))).toEqual({ kind: 'stale', name: 'o' })
    test.apply({ kind: 'session-open', owner: 'n1', requestId: 's2', ttlMs: 10_000 })
    expect(test.apply({ ...begin('r3'), session: test.index })).toMatchObject({ attempt: 3, previous: 'crashed' })
  })

  it('takes the token of an attempt for valid as long as it is at work', () => {
    const test = withSession()
    test.apply(begin('r1'))
    expect(test.set('k', 1, { fence: 3 })).toMatchObject({ kind: 'written' })
    test.apply(finish('r1'))
    expect(test.set('k', 2, { fence: 3 })).toEqual({ kind: 'fenced', token: 3 })
  })

  it('forgets work that is not under way', () => {
    const test = withSession()
    test.apply(begin('r1'))
    const forget = { kind: 'once-forget', name: 'o', version: '1' } as const
    expect(test.apply(forget)).toEqual({ kind: 'stale', name: 'o' })
    test.apply(finish('r1'))
    expect(test.apply(forget)).toEqual({ kind: 'once-ended', name: 'o' })
    expect(test.apply(begin('r2'))).toMatchObject({ kind: 'once-begun', attempt: 1, previous: null })
  })

  it('remembers so many pieces of work at most', () => {
    const test = withSession()
    for (let at = 0; at < limits.maxOnceWorks; at++) test.apply(begin('r', `o${at}`))
    expect(test.machine.once.size).toBe(limits.maxOnceWorks)
    expect(test.apply(begin('r'))).toMatchObject({ kind: 'refused', code: 'RAFT_BUSY' })
  })
})
