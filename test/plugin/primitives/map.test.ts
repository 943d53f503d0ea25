import { describe, expect, it } from 'vitest'
import { createMap } from '../../../src/plugin/primitives/map.ts'
import { startTestCluster } from './support/primitives.ts'

describe('map', () => {
  it('writes, reads, lists and deletes from any node', async () => {
    const { node } = startTestCluster(2)
    const here = createMap<{ n: number }>(node(0), 'orders')
    const there = createMap<{ n: number }>(node(1), 'orders')
    expect(await there.get('a')).toBeNull()
    expect(await here.set('a', { n: 1 })).toEqual({ key: 'a', value: { n: 1 }, revision: 2 })
    expect(await there.get('a')).toEqual({ key: 'a', value: { n: 1 }, revision: 2 })
    await there.set('b', { n: 2 })
    const both = [{ key: 'a', value: { n: 1 }, revision: 2 }, { key: 'b', value: { n: 2 }, revision: 3 }]
    expect(await here.list()).toEqual({ entries: both, next: null, revision: 3 })
    expect(await all(here.entries())).toEqual(both)
    expect((await here.list({ prefix: 'b' })).entries).toHaveLength(1)
    expect(await all(here.entries({ prefix: 'b' }))).toHaveLength(1)
    expect((await here.list({ limit: 1 })).entries[0]?.key).toBe('a')
    expect((await here.list({ after: 'a' })).entries[0]?.key).toBe('b')
    expect((await all(here.entries({ after: 'a' })))[0]?.key).toBe('b')
    expect(await there.delete('a')).toEqual({ key: 'a', existed: true, revision: 4 })
    expect(await there.delete('a')).toEqual({ key: 'a', existed: false, revision: 5 })
    expect(await here.get('a')).toBeNull()
  })

  it('reports the actual revision on a mismatch', async () => {
    const map = createMap(startTestCluster().node(0), 'm')
    const { revision } = await map.set('a', 1, { ifRevision: 0 })
    await expect(map.set('a', 2, { ifRevision: 0 })).rejects.toMatchObject({
      code: 'RAFT_REVISION_MISMATCH',
      statusCode: 409,
      revision
    })
    await expect(map.delete('a', { ifRevision: 77 })).rejects.toMatchObject({
      code: 'RAFT_REVISION_MISMATCH',
      revision
    })
    expect(await map.set('a', 2, { ifRevision: revision })).toMatchObject({ value: 2 })
  })

  it('gives each reader a copy of its own', async () => {
    const map = createMap<{ list: number[] }>(startTestCluster().node(0), 'm')
    const mine = { list: [1] }
    await map.set('a', mine)
    mine.list.push(2)
    const first = await map.get('a')
    first?.value.list.push(3)
    expect((await map.get('a'))?.value).toEqual({ list: [1] })
    const listed = await map.list()
    listed.entries[0]?.value.list.push(4)
    expect((await map.get('a'))?.value).toEqual({ list: [1] })
  })

  it('reads locally without asking, and otherwise only behind a barrier', async () => {
    const { node } = startTestCluster(2)
    const here = createMap(node(0), 'm')
    const there = createMap(node(1), 'm')
    await here.set('a', 'old')
    node(1).engine.isCutOff = true
    await here.set('a', 'new')
    expect((await there.get('a', { read: 'local' }))?.value).toBe('old')
    await expect(there.get('a')).rejects.toMatchObject({ code: 'RAFT_NO_LEADER' })
    await expect(there.list({ timeoutMs: 5 })).rejects.toMatchObject({ code: 'RAFT_NO_LEADER' })
    await expect(all(there.entries({ timeoutMs: 5 }))).rejects.toMatchObject({ code: 'RAFT_NO_LEADER' })
    expect(await all(there.entries({ read: 'local' }))).toMatchObject([{ value: 'old' }])
    node(1).engine.isCutOff = false
    expect((await there.get('a'))?.value).toBe('new')
  })

  it('asks nobody for a lease read on the leader while its lease holds, and reads behind a barrier everywhere else', async () => {
    const { node } = startTestCluster(2)
    const onLeader = createMap(node(0), 'm')
    const onFollower = createMap(node(1), 'm')
    await onLeader.set('a', 'new')
    // From here on a barrier fails on both.
    node(0).engine.isCutOff = node(1).engine.isCutOff = true
    expect((await onLeader.get('a', { read: 'lease' }))?.value).toBe('new')
    expect((await onLeader.list({ read: 'lease' })).entries).toHaveLength(1)
    expect(await all(onLeader.entries({ read: 'lease' }))).toHaveLength(1)
    await expect(onFollower.get('a', { read: 'lease' })).rejects.toMatchObject({ code: 'RAFT_NO_LEADER' })
    // The lease lapses: the state at hand may be old.
    node(0).engine.setLeadership(null, null)
    await expect(onLeader.get('a', { read: 'lease' })).rejects.toMatchObject({ code: 'RAFT_NO_LEADER' })
    node(1).engine.isCutOff = false
    expect((await onFollower.get('a', { read: 'lease' }))?.value).toBe('new')
  })

  it('fences: a deposed leader writes nothing, whenever its write arrives', async () => {
    const { cluster, node } = startTestCluster(2)
    const map = createMap(node(0), 'm')
    const fence = String(node(0).engine.currentLeadership()?.token)
    await map.set('a', 'led', { fence })
    node(0).engine.fate = 'late'
    await expect(map.set('a', 'late', { fence })).rejects.toMatchObject({ code: 'RAFT_OUTCOME_UNKNOWN' })
    cluster.lead(1)
    node(0).engine.fate = 'applied'
    node(0).engine.deliverLate()
    expect((await map.get('a'))?.value).toBe('led')
    await expect(map.set('a', 'again', { fence })).rejects.toMatchObject({ code: 'RAFT_FENCED', statusCode: 412 })
    await expect(map.delete('a', { fence })).rejects.toMatchObject({ code: 'RAFT_FENCED' })
    expect((await map.get('a'))?.value).toBe('led')
  })

  it.each(['', '0', '-1', '1.5', '01', '1e3', 'abc', ' 1', '9007199254740993', '99999999999999999999'])(
    'refuses "%s" as a fence',
    async (fence) => {
      const { cluster, node } = startTestCluster()
      await expect(createMap(node(0), 'm').set('a', 1, { fence })).rejects.toMatchObject({ code: 'RAFT_FENCED' })
      expect(cluster.log).toHaveLength(1)
    }
  )

  it('applies an idempotency key once, whichever node it reaches', async () => {
    const { node } = startTestCluster(2)
    const options = { idempotencyKey: 'order-1' }
    const first = await createMap(node(0), 'm').set('a', 1, options)
    await createMap(node(0), 'm').delete('a')
    expect(await createMap(node(1), 'm').set('a', 1, options)).toEqual(first)
    expect(await createMap(node(1), 'm').get('a')).toBeNull()
    await expect(createMap(node(1), 'm').set('a', 2, options)).rejects.toMatchObject({
      code: 'RAFT_IDEMPOTENCY_CONFLICT',
      statusCode: 422
    })
  })

  it('retries an unknown outcome safely with the same idempotency key', async () => {
    const { node } = startTestCluster()
    const map = createMap<number>(node(0), 'm')
    const options = { ifRevision: 0, idempotencyKey: 'i' }
    node(0).engine.fate = 'lost-answer'
    await expect(map.set('a', 1, options)).rejects.toMatchObject({ code: 'RAFT_OUTCOME_UNKNOWN' })
    node(0).engine.fate = 'applied'
    expect(await map.set('a', 1, options)).toEqual({ key: 'a', value: 1, revision: 2 })
  })

  it.each([
    ['a large key', 'k'.repeat(513), 1, {}, 'RAFT_TOO_LARGE'],
    ['a large key of wide characters', '語'.repeat(171), 1, {}, 'RAFT_TOO_LARGE'],
    ['a large value', 'k', 'v'.repeat(1_048_576), {}, 'RAFT_TOO_LARGE'],
    ['a deep value', 'k', JSON.parse('['.repeat(129) + ']'.repeat(129)), {}, 'RAFT_TOO_LARGE'],
    ['an empty key', '', 1, {}, 'RAFT_INVALID_OPTIONS'],
    ['undefined', 'k', undefined, {}, 'RAFT_INVALID_OPTIONS'],
    ['a function', 'k', () => 1, {}, 'RAFT_INVALID_OPTIONS'],
    ['a bigint', 'k', 1n, {}, 'RAFT_INVALID_OPTIONS'],
    ['a negative revision', 'k', 1, { ifRevision: -1 }, 'RAFT_INVALID_OPTIONS'],
    ['a long idempotency key', 'k', 1, { idempotencyKey: 'i'.repeat(201) }, 'RAFT_INVALID_OPTIONS']
  ])('refuses %s before anything is proposed', async (_case, key, value, options, code) => {
    const { cluster, node } = startTestCluster()
    await expect(createMap(node(0), 'm').set(key, value, options)).rejects.toMatchObject({ code })
    expect(cluster.log).toHaveLength(1)
  })

  it('refuses a value that contains itself', async () => {
    const loop: { self?: unknown } = {}
    loop.self = loop
    await expect(createMap(startTestCluster().node(0), 'm').set('a', loop)).rejects.toMatchObject({
      code: 'RAFT_INVALID_OPTIONS',
      message: expect.stringContaining('the value is not JSON: $.self contains itself') as string
    })
  })

  it.each([
    [{ a: [1, 2, 3, { b: NaN }] }, '$.a[3].b is NaN'],
    [-Infinity, '$ is -Infinity'],
    [-0, '$ is -0'],
    [{ at: undefined }, '$.at is undefined'],
    [[new Date(0)], '$[0] is not a plain object but of type Date'],
    [new Map([[1, 2]]), '$ is not a plain object but of type Map'],
    [{ toJSON: () => 1 }, '$ has a toJSON of its own']
  ])('refuses a value that would be read back as another one, with the place: %o', async (value, place) => {
    const { cluster, node } = startTestCluster()
    await expect(createMap(node(0), 'm').set('a', value)).rejects.toMatchObject({
      code: 'RAFT_INVALID_OPTIONS',
      message: expect.stringContaining(`the value is not JSON: ${place}`) as string
    })
    expect(cluster.log).toHaveLength(1)
  })

  it('takes plain objects without a prototype, and those whose prototype has none, as parsers make them', async () => {
    const map = createMap(startTestCluster().node(0), 'm')
    const parsed = Object.assign(Object.create(Object.create(null) as object) as object, { a: 1 })
    await map.set('a', [Object.assign(Object.create(null) as object, { b: 2 }), parsed])
    expect((await map.get('a'))?.value).toEqual([{ b: 2 }, { a: 1 }])
  })

  it('takes the largest key and value', async () => {
    const map = createMap(startTestCluster().node(0), 'm')
    const key = 'k'.repeat(512)
    await map.set(key, '"'.repeat(524_287))
    expect((await map.get(key))?.value).toHaveLength(524_287)
  })

  it('takes __proto__ and constructor as ordinary keys', async () => {
    const map = createMap(startTestCluster().node(0), '__proto__')
    expect(await map.get('__proto__')).toBeNull()
    await map.set('__proto__', JSON.parse('{"__proto__":{"polluted":1}}'))
    await map.set('constructor', 2)
    expect((await map.list()).entries.map((entry) => entry.key)).toEqual(['__proto__', 'constructor'])
    expect(({} as { polluted?: number }).polluted).toBeUndefined()
  })

  it('reads each of many pages in a turn of its own', async () => {
    const map = createMap(startTestCluster().node(0), 'm')
    await map.set('a', 1)
    const pages = Promise.all(Array.from({ length: 20 }, () => map.list({ read: 'local' })))
    let turns = 0
    const count = (): void => {
      turns++
      counting = setImmediate(count)
    }
    let counting = setImmediate(count)
    expect(await pages).toHaveLength(20)
    clearImmediate(counting)
    expect(turns).toBeGreaterThanOrEqual(19)
  })

  it('bounds what one page holds', async () => {
    const map = createMap(startTestCluster().node(0), 'm')
    await expect(map.list({ limit: 0 })).rejects.toMatchObject({ code: 'RAFT_INVALID_OPTIONS' })
    await expect(map.list({ limit: 1_001 })).rejects.toMatchObject({ code: 'RAFT_INVALID_OPTIONS' })
    for (let at = 0; at < 17; at++) await map.set(`k${at}`, 'v'.repeat(1_048_000))
    await expect(map.list()).rejects.toMatchObject({ code: 'RAFT_TOO_LARGE', statusCode: 413 })
    expect((await map.list({ limit: 16 })).entries).toHaveLength(16)
  })

  it('pages through all entries, and says where the next page starts', async () => {
    const map = createMap<number>(startTestCluster().node(0), 'm')
    for (let at = 0; at < 4; at++) await map.set(`k${at}`, at)
    expect(await map.list({ limit: 2 })).toMatchObject({ entries: [{ key: 'k0' }, { key: 'k1' }], next: 'k1' })
    // Full, and nothing behind it.
    expect(await map.list({ limit: 2, after: 'k1' })).toMatchObject({
      entries: [{ key: 'k2' }, { key: 'k3' }],
      next: null
    })
    expect(await map.list({ limit: 1, prefix: 'k3' })).toMatchObject({ entries: [{ value: 3 }], next: null })
    expect(await map.list({ after: 'k3' })).toMatchObject({ entries: [], next: null })
  })

  it('iterates over more entries than a page holds, in key order, whatever they weigh', async () => {
    const map = createMap<string>(startTestCluster().node(0), 'm')
    const keys = Array.from({ length: 1_001 }, (_, at) => `k${String(at).padStart(4, '0')}`)
    for (const key of keys) await map.set(key, key)
    expect((await all(map.entries())).map(({ key }) => key)).toEqual(keys)
    expect(await map.list()).toMatchObject({ next: 'k0999' })
    const heavy = createMap<string>(startTestCluster().node(0), 'heavy')
    for (let at = 0; at < 17; at++) await heavy.set(`k${at}`, 'v'.repeat(1_048_000))
    expect(await all(heavy.entries())).toHaveLength(17)
  })

  it('shows an iteration newer values of the keys that it started with, and none of the keys added since', async () => {
    const map = createMap<string>(startTestCluster().node(0), 'm')
    for (const key of ['a', 'b', 'c']) await map.set(key, 'old')
    const entries = map.entries()
    expect((await entries.next()).value).toMatchObject({ key: 'a', value: 'old' })
    await map.delete('b')
    await map.set('bb', 'added')
    await map.set('c', 'new')
    expect((await entries.next()).value).toMatchObject({ key: 'c', value: 'new' })
    expect(await entries.next()).toEqual({ done: true, value: undefined })
  })

  it('lets everything else have its turn during an iteration', async () => {
    const map = createMap<number>(startTestCluster().node(0), 'm')
    for (let at = 0; at < 1_000; at++) await map.set(`k${at}`, at)
    let hadItsTurn = false
    setImmediate(() => { hadItsTurn = true })
    await all(map.entries())
    expect(hadItsTurn).toBe(true)
  })

  it('ends an iteration with the reason of the signal', async () => {
    const map = createMap<number>(startTestCluster().node(0), 'm')
    await map.set('a', 1)
    await map.set('b', 2)
    const controller = new AbortController()
    const entries = map.entries({ signal: controller.signal })
    await entries.next()
    controller.abort(new Error('enough'))
    await expect(entries.next()).rejects.toThrow('enough')
  })

  it('refuses a bad name', () => {
    const { node } = startTestCluster()
    for (const name of ['', 'm'.repeat(201)]) {
      expect(() => createMap(node(0), name)).toThrow(expect.objectContaining({ code: 'RAFT_INVALID_OPTIONS' }))
    }
  })

  it.each([-1, NaN])('refuses a timeout of %d ms', async (timeoutMs) => {
    const map = createMap(startTestCluster().node(0), 'm')
    await expect(map.get('a', { timeoutMs })).rejects.toMatchObject({ code: 'RAFT_INVALID_OPTIONS' })
    await expect(map.set('a', 1, { timeoutMs })).rejects.toMatchObject({ code: 'RAFT_INVALID_OPTIONS' })
  })

  it('ends with the reason of the signal', async () => {
    const map = createMap(startTestCluster().node(0), 'm')
    const signal = AbortSignal.abort(new Error('enough'))
    await expect(map.get('a', { signal })).rejects.toThrow('enough')
    await expect(map.get('a', { signal, read: 'local' })).rejects.toThrow('enough')
    await expect(map.set('a', 1, { signal })).rejects.toThrow('enough')
  })
})

async function all<T> (items: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = []
  for await (const item of items) found.push(item)
  return found
}
