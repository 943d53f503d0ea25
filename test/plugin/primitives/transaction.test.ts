import { describe, expect, it } from 'vitest'
import { createMap } from '../../../src/plugin/primitives/map.ts'
import type { TransactionOptions, TransactionWrite } from '../../../src/plugin/primitives/transaction.ts'
import { transact } from '../../../src/plugin/primitives/transaction.ts'
import { startTestCluster } from './support/primitives.ts'

function set (key: string, value: unknown, map = 'm'): TransactionWrite {
  return { kind: 'set', map, key, value }
}

/** What a caller without types may give. */
function given (options: unknown): TransactionOptions {
  return options as TransactionOptions
}

describe('a transaction', () => {
  it('writes one branch as a whole, at one revision, on every node', async () => {
    const { node } = startTestCluster(2)
    const map = createMap<number>(node(1), 'm')
    const { revision } = await map.set('a', 1)
    const watch = map.watch()
    const done = await transact(node(0), {
      compare: [
        { map: 'm', key: 'a', revision },
        { map: 'm', key: 'a', exists: true },
        { map: 'other', key: 'a', revision: 0 }
      ],
      then: [set('a', 2), set('b', 3, 'other'), { kind: 'delete', map: 'm', key: 'none' }, set('c', 4)],
      else: [set('a', 0)]
    })
    expect(done).toEqual({ succeeded: true, revision: revision + 1, revisions: [revision, revision, 0] })
    expect(await map.get('a')).toMatchObject({ value: 2, revision: done.revision })
    expect(await createMap(node(0), 'other').get('b')).toMatchObject({ value: 3, revision: done.revision })
    expect((await watch.next()).value).toEqual({
      revision: done.revision,
      events: [{ kind: 'set', key: 'a', value: 2 }, { kind: 'set', key: 'c', value: 4 }]
    })
    const again = await transact(node(1), {
      compare: [{ map: 'm', key: 'a', revision }],
      then: [set('a', 9)],
      else: [{ kind: 'delete', map: 'm', key: 'a' }]
    })
    expect(again).toMatchObject({ succeeded: false, revisions: [done.revision] })
    expect(await map.get('a')).toBeNull()
    expect(await transact(node(0), {})).toMatchObject({ succeeded: true, revisions: [] })
  })

  it.each<[unknown, unknown, boolean]>([
    [{ a: 1, b: [1, null] }, { b: [1, null], a: 1 }, true],
    [{ a: 1, b: 2 }, { a: 2, b: 1 }, false],
    [[1, 2], [2, 1], false],
    [null, null, true],
    [0, false, false],
    ['1', 1, false],
    [1e21, 1e21, true]
  ])('says of %j and %j as values whether they are the same', async (stored, compared, succeeded) => {
    const { node } = startTestCluster()
    await createMap(node(0), 'm').set('a', stored)
    expect(await transact(node(0), { compare: [{ map: 'm', key: 'a', value: compared }] })).toMatchObject({ succeeded })
    expect(await transact(node(0), { compare: [{ map: 'm', key: 'none', value: compared }] }))
      .toMatchObject({ succeeded: false })
  })

  it('happens only under the fence that it names', async () => {
    const { cluster, node } = startTestCluster(2)
    const fence = String(node(0).engine.currentLeadership()?.token)
    await transact(node(0), { then: [set('a', 1)], fence })
    cluster.lead(1)
    await expect(transact(node(0), { then: [set('a', 2)], fence })).rejects.toMatchObject({ code: 'RAFT_FENCED' })
    expect((await createMap(node(1), 'm').get('a'))?.value).toBe(1)
  })

  it('happens once under its idempotency key, and answers as the first time', async () => {
    const { node } = startTestCluster(2)
    const options = { compare: [{ map: 'm', key: 'a', exists: false }], then: [set('a', 1)], idempotencyKey: 'i' }
    node(0).engine.fate = 'lost-answer'
    await expect(transact(node(0), options)).rejects.toMatchObject({ code: 'RAFT_OUTCOME_UNKNOWN' })
    expect(await transact(node(1), options)).toEqual({ succeeded: true, revision: 2, revisions: [0] })
    await expect(transact(node(1), { ...options, then: [] })).rejects.toMatchObject({ code: 'RAFT_IDEMPOTENCY_CONFLICT' })
  })

  it('writes nothing at all when there is no room for all of it', async () => {
    const { node } = startTestCluster()
    const tooLarge = 'v'.repeat(700_000)
    await expect(transact(node(0), { then: [set('a', 1), set('b', tooLarge), set('c', tooLarge)] }))
      .rejects.toMatchObject({ code: 'RAFT_TOO_LARGE' })
    await expect(transact(node(0), { then: [set('a', 1), set('k'.repeat(513), 2)] }))
      .rejects.toMatchObject({ code: 'RAFT_TOO_LARGE' })
    expect(node(0).machine.maps.keys).toBe(0)
  })

  it.each<[string, unknown]>([
    ['a branch of another name', { than: [] }],
    ['a comparison of nothing', { compare: [{ map: 'm', key: 'a' }] }],
    ['a comparison of two things', { compare: [{ map: 'm', key: 'a', exists: true, revision: 0 }] }],
    ['a key twice in a branch', { else: [set('a', 1), { kind: 'delete', map: 'm', key: 'a' }] }],
    ['a write of an unknown kind', { then: [{ kind: 'get', map: 'm', key: 'a' }] }],
    ['a delete with a value', { then: [{ kind: 'delete', map: 'm', key: 'a', value: 1 }] }],
    ['an empty key', { then: [set('', 1)] }],
    ['a name that no map has', { then: [set('a', 1, '')] }],
    ['a value that is not JSON', { then: [set('a', NaN)] }],
    ['a value that is not there', { then: [set('a', undefined)] }],
    ['more steps than 128', { then: Array.from({ length: 129 }, (_item, at) => set(`k${at}`, at)) }]
  ])('is refused with %s', async (_what, options) => {
    const { cluster, node } = startTestCluster()
    await expect(transact(node(0), given(options))).rejects.toMatchObject({ code: 'RAFT_INVALID_OPTIONS' })
    expect(cluster.log).toHaveLength(1)
  })
})
