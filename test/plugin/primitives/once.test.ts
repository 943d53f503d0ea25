import { describe, expect, it } from 'vitest'
import type { OnceGrant, OnceRun } from '../../../src/plugin/primitives/once.ts'
import { runOnce } from '../../../src/plugin/primitives/once.ts'
import { settle } from '../../support/manual-clock.ts'
import type { TestNode } from './support/primitives.ts'
import { startTestCluster } from './support/primitives.ts'

interface More {
  readonly version?: string | number
  readonly timeoutMs?: number
}

function once<T> (context: TestNode, run: OnceRun<T>, more: More = {}): Promise<T> {
  return runOnce(context, { name: 'migrate', version: more.version ?? 1, run, wait: { timeoutMs: more.timeoutMs } })
}

/** Something that is resolved or rejected from outside. */
function gate<T> () {
  let open: (value: T) => void = () => {}
  let fail: (error: Error) => void = () => {}
  const promise = new Promise<T>((resolve, reject) => {
    open = resolve
    fail = reject
  })
  return { promise, open, fail }
}

describe('once', () => {
  it('runs on one node, and the others wait for its result', async () => {
    const { nodes } = startTestCluster(3)
    const work = gate<{ readonly rows: number }>()
    const grants: OnceGrant[] = []
    const calls = nodes.map((context) => once(context, async (grant) => {
      grants.push(grant)
      return await work.promise
    }))
    await settle()
    expect(grants).toHaveLength(1)
    expect(grants[0]).toMatchObject({ attempt: 1, previous: null })
    expect(() => { grants[0]?.check() }).not.toThrow()
    work.open({ rows: 3 })
    expect(await Promise.all(calls)).toEqual([{ rows: 3 }, { rows: 3 }, { rows: 3 }])
    expect(grants).toHaveLength(1)
    // And later, without asking.
    expect(await once(nodes[1] as TestNode, () => ({ rows: 9 }))).toEqual({ rows: 3 })
    expect(() => { grants[0]?.check() }).toThrow(expect.objectContaining({ code: 'RAFT_SESSION_LOST' }))
  })

  it('runs for each version, however that is written', async () => {
    const { node } = startTestCluster(1)
    expect(await once(node(0), () => 'one')).toBe('one')
    expect(await once(node(0), () => 'two', { version: 2 })).toBe('two')
    expect(await once(node(0), () => 'three', { version: '2' })).toBe('two')
    expect(await once(node(0), () => {}, { version: 'v3' })).toBeUndefined()
  })

  it('that fails is free for the next caller, which is told', async () => {
    const { node } = startTestCluster(2)
    await expect(once(node(0), () => { throw new Error('no table') })).rejects.toThrow('no table')
    const grants: OnceGrant[] = []
    expect(await once(node(1), (grant) => {
      grants.push(grant)
      return 'done'
    })).toBe('done')
    expect(grants).toMatchObject([{ attempt: 2, previous: 'failed' }])
    expect(node(0).machine.once.get('migrate', '1')).toMatchObject({ state: 'done', node: 'n2', attempt: 2 })
  })

  it('that fails while another node waits runs there', async () => {
    const { node } = startTestCluster(2)
    const work = gate<string>()
    const first = once(node(0), async () => await work.promise)
    await settle()
    const second = once(node(1), (grant) => grant.previous)
    await settle()
    work.fail(new Error('no'))
    await expect(first).rejects.toThrow('no')
    expect(await second).toBe('failed')
  })

  it('whose process crashed half way is begun again by the next, which is told', async () => {
    const { cluster, node } = startTestCluster(2)
    const grants: OnceGrant[] = []
    const lost = once(node(0), async (grant) => {
      grants.push(grant)
      await new Promise<void>((resolve) => { grant.signal.addEventListener('abort', () => { resolve() }) })
      return 'too late'
    })
    await settle()
    const second = once(node(1), (grant) => {
      grants.push(grant)
      return 'done'
    })
    await settle()
    const [session] = [...node(0).machine.sessions.all()]
    cluster.append(Buffer.from(JSON.stringify({ kind: 'session-expire', session: session?.id, beat: session?.beat })))
    await expect(lost).rejects.toMatchObject({ code: 'RAFT_SESSION_LOST' })
    expect(await second).toBe('done')
    expect(grants.map(({ attempt, previous }) => ({ attempt, previous }))).toEqual([
      { attempt: 1, previous: null },
      { attempt: 2, previous: 'crashed' }
    ])
    expect(node(1).machine.once.get('migrate', '1')).toMatchObject({ state: 'done', node: 'n2' })
  })

  it.each(['lost-answer', 'dropped', 'busy'] as const)('runs once where the answer to its begin is %s', async (fate) => {
    const { node, advance } = startTestCluster(1)
    let runs = 0
    // The session first: it has tests of its own.
    await once(node(0), () => {}, { version: 'open' })
    node(0).engine.fate = fate
    const call = once(node(0), () => { runs++ })
    await advance(1_000)
    expect(runs).toBe(0)
    node(0).engine.fate = 'applied'
    await advance(1_000)
    await call
    expect(runs).toBe(1)
  })

  it('knows that it succeeded where the answer to its end was lost', async () => {
    const { node, advance } = startTestCluster(1)
    const work = gate<string>()
    const call = once(node(0), async () => await work.promise)
    await settle()
    node(0).engine.fate = 'lost-answer'
    work.open('done')
    await settle()
    node(0).engine.fate = 'applied'
    await advance(1_000)
    expect(await call).toBe('done')
  })

  it('waits for so long, and no longer', async () => {
    const { node, advance } = startTestCluster(2)
    const work = gate<string>()
    const first = once(node(0), async () => await work.promise)
    await settle()
    const second = once(node(1), () => 'never', { timeoutMs: 500 })
    const refused = expect(second).rejects.toMatchObject({ code: 'RAFT_TIMEOUT' })
    await advance(500)
    await refused
    work.open('done')
    expect(await first).toBe('done')
  })

  it.each([
    ['a name without a character', { name: '' }],
    ['a version below 0', { version: -1 }],
    ['a version that is no whole number', { version: 1.5 }],
    ['a version without a character', { version: '' }],
    ['a version that is too long', { version: 'v'.repeat(101) }],
    ['a timeout that is none', { wait: { timeoutMs: -1 } }]
  ])('refuses %s', async (_case, more) => {
    const { node } = startTestCluster(1)
    const call = runOnce(node(0), { name: 'n', version: 1, run: () => {}, wait: {}, ...more })
    await expect(call).rejects.toMatchObject({ code: 'RAFT_INVALID_OPTIONS' })
  })

  it.each([
    ['a date', new Date(0), 'RAFT_NOT_JSON'],
    ['a function', () => {}, 'RAFT_NOT_JSON'],
    ['a number that is none', NaN, 'RAFT_NOT_JSON'],
    ['what is too large', 'x'.repeat(4_097), 'RAFT_TOO_LARGE']
  ])('that returns %s fails', async (_case, value, code) => {
    const { node } = startTestCluster(1)
    await expect(once(node(0), () => value as unknown)).rejects.toMatchObject({ code })
    expect(node(0).machine.once.get('migrate', '1')).toMatchObject({ state: 'open', previous: 'failed' })
  })
})
