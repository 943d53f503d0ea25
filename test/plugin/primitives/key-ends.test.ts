import { describe, expect, it } from 'vitest'
import { startKeyExpiry } from '../../../src/plugin/primitives/key-expiry.ts'
import type { ClusterMap } from '../../../src/plugin/primitives/map.ts'
import { createMap } from '../../../src/plugin/primitives/map.ts'
import { processSession } from '../../../src/plugin/primitives/process-session.ts'
import { startSessionExpiry } from '../../../src/plugin/primitives/session-expiry.ts'
import { transact } from '../../../src/plugin/primitives/transaction.ts'
import type { TestCluster, TestNode } from './support/primitives.ts'
import { startTestCluster } from './support/primitives.ts'

/** A cluster whose leaders let keys and sessions end. */
function startCluster (size: number): TestCluster {
  const test = startTestCluster(size)
  for (const node of test.nodes) {
    startKeyExpiry(node)
    startSessionExpiry(node)
  }
  return test
}

function mapOf (node: TestNode): ClusterMap<unknown> {
  return createMap<unknown>(node, 'm')
}

function valueOf ({ machine }: TestNode, key: string): string | undefined {
  return machine.maps.get('m', key)?.valueJson
}

describe('a key with a time to live', () => {
  it('goes on all nodes when its time is over, and is shown as expired', async () => {
    const { node, advance } = startCluster(3)
    const changes = mapOf(node(2)).watch({ key: 'k' })
    const first = changes.next()
    const written = await mapOf(node(1)).set('k', 1, { ttlMs: 1_000 })
    expect(written).toEqual({ key: 'k', value: 1, revision: 2, ttlMs: 1_000 })
    expect(await mapOf(node(0)).get('k')).toEqual(written)
    expect(await first).toMatchObject({ value: { events: [{ kind: 'set', key: 'k', value: 1 }] } })
    await advance(950)
    for (const at of [0, 1, 2]) expect(valueOf(node(at), 'k')).toBe('1')
    await advance(100)
    for (const at of [0, 1, 2]) expect(valueOf(node(at), 'k')).toBeUndefined()
    expect(await changes.next()).toEqual({ done: false, value: { revision: 3, events: [{ kind: 'expired', key: 'k' }] } })
  })

  it('lives on from its last write, as long as that says, and for good when it says nothing', async () => {
    const { cluster, node, advance } = startCluster(1)
    const map = mapOf(node(0))
    for (const key of ['longer', 'shorter', 'for good', 'removed']) await map.set(key, 1, { ttlMs: 1_000 })
    await advance(900)
    await map.set('longer', 2, { ttlMs: 5_000 })
    await map.set('shorter', 2, { ttlMs: 100 })
    await map.set('for good', 2)
    await map.delete('removed')
    await advance(150)
    expect(['longer', 'shorter', 'for good'].map((key) => valueOf(node(0), key))).toEqual(['2', undefined, '2'])
    await advance(4_900)
    expect(valueOf(node(0), 'longer')).toBeUndefined()
    const entries = cluster.log.length
    await advance(60_000)
    expect([valueOf(node(0), 'for good'), cluster.log.length, node(0).clock.timers]).toEqual(['2', entries, 0])
  })

  it('shares an entry with others that are due together', async () => {
    const { cluster, node, advance } = startCluster(1)
    for (let count = 0; count < 300; count++) await mapOf(node(0)).set(`k${count}`, 1, { ttlMs: 1_000 })
    const entries = cluster.log.length
    await advance(1_050)
    expect([node(0).machine.maps.keys, cluster.log.length - entries]).toEqual([0, 3])
  })

  it('does not begin its time anew with a new leader, as far as log time has counted it', async () => {
    const { cluster, node, advance } = startCluster(2)
    await mapOf(node(0)).set('k', 1, { ttlMs: 10_000 })
    cluster.timeMs += 8_000
    cluster.lead(1)
    await advance(1_900)
    expect(valueOf(node(0), 'k')).toBe('1')
    await advance(200)
    expect(valueOf(node(0), 'k')).toBeUndefined()
  })

  it('D24: goes no earlier, whatever clocks say', async () => {
    const { cluster, node } = startCluster(2)
    await mapOf(node(0)).set('k', 1, { ttlMs: 1_000 })
    node(0).clock.moveWall(1_000_000)
    await node(1).clock.advance(1_000_000)
    await node(0).clock.advance(900)
    cluster.lead(1)
    await node(0).clock.advance(1_000_000)
    await node(1).clock.advance(900)
    expect(valueOf(node(1), 'k')).toBe('1')
    await node(1).clock.advance(150)
    expect(valueOf(node(1), 'k')).toBeUndefined()
  })

  it('stays when it is written while its end is on its way', async () => {
    const { node, advance } = startCluster(2)
    const map = mapOf(node(1))
    await map.set('k', 1, { ttlMs: 200 })
    node(0).engine.fate = 'late'
    await advance(250)
    node(0).engine.fate = 'applied'
    await map.set('k', 2)
    await advance(10_000)
    expect(valueOf(node(0), 'k')).toBe('2')
  })
})

describe('an ephemeral key', () => {
  it('stays while its process is there, and goes on all nodes when it is gone', async () => {
    const { node, advance } = startCluster(3)
    const { session, ...written } = await mapOf(node(1)).set('n1', 'here', { ephemeral: true })
    expect(written).toEqual({ key: 'n1', value: 'here', revision: 3 })
    expect(session).toBe(String(processSession(node(1)).current?.id))
    expect(await mapOf(node(2)).get('n1')).toEqual({ ...written, session })
    await advance(60_000)
    expect(valueOf(node(2), 'n1')).toBe('"here"')
    const changes = mapOf(node(2)).watch({ prefix: 'n' })
    const gone = changes.next()
    node(1).engine.fate = 'busy'
    for (const at of [0, 2]) await node(at).clock.advance(12_000)
    for (const at of [0, 2]) expect(valueOf(node(at), 'n1')).toBeUndefined()
    expect(await gone).toMatchObject({ value: { events: [{ kind: 'expired', key: 'n1' }] } })
  })

  it('goes at once when its process closes its session', async () => {
    const { node } = startCluster(2)
    await mapOf(node(1)).set('k', 1, { ephemeral: true })
    await mapOf(node(1)).set('kept', 1)
    await processSession(node(1)).end()
    expect([valueOf(node(0), 'k'), valueOf(node(0), 'kept')]).toEqual([undefined, '1'])
  })

  it('belongs to another session when another process writes it', async () => {
    const { node } = startCluster(3)
    await mapOf(node(1)).set('k', 1, { ephemeral: true })
    await mapOf(node(2)).set('k', 2, { ephemeral: true })
    await processSession(node(1)).end()
    expect(valueOf(node(0), 'k')).toBe('2')
    await processSession(node(2)).end()
    expect(valueOf(node(0), 'k')).toBeUndefined()
  })

  it('can be written in a transaction, beside one with a time to live', async () => {
    const { node, advance } = startCluster(1)
    const result = await transact(node(0), {
      compare: [{ map: 'm', key: 'leader', exists: false }],
      then: [
        { kind: 'set', map: 'm', key: 'leader', value: 'n0', ephemeral: true },
        { kind: 'set', map: 'm', key: 'hint', value: 1, ttlMs: 500 },
        { kind: 'set', map: 'm', key: 'for good', value: 1 }
      ]
    })
    expect(result.succeeded).toBe(true)
    await advance(600)
    expect(['leader', 'hint', 'for good'].map((key) => valueOf(node(0), key))).toEqual(['"n0"', undefined, '1'])
    await processSession(node(0)).end()
    expect([valueOf(node(0), 'leader'), valueOf(node(0), 'for good')]).toEqual([undefined, '1'])
  })

  it('is not written for a session that is over: the caller is told', async () => {
    const { node } = startCluster(1)
    const lost = { code: 'RAFT_SESSION_LOST' }
    await expect(mapOf(node(0)).set('k', 1, { session: '77' })).rejects.toMatchObject(lost)
    const then = [{ kind: 'set', map: 'm', key: 'k', value: 1, session: '77' }] as const
    await expect(transact(node(0), { then })).rejects.toMatchObject(lost)
    expect(node(0).machine.maps.keys).toBe(0)
  })
})

describe('bad ends of keys', () => {
  it.each([
    [{ ttlMs: 99 }, /ttlMs is an integer from 100 to 604800000/],
    [{ ttlMs: 604_800_001 }, /ttlMs is an integer/],
    [{ ttlMs: 100.5 }, /ttlMs is an integer/],
    [{ session: '' }, /session is the id of a session/],
    [{ session: '1e3' }, /session is the id of a session/],
    [{ ttlMs: 1_000, ephemeral: true }, /one of ttlMs, ephemeral and session/],
    [{ ephemeral: true, session: '7' }, /one of ttlMs, ephemeral and session/]
  ])('%j is refused, and nothing is written', async (end, message) => {
    const { cluster, node } = startCluster(1)
    const entries = cluster.log.length
    const refusal = { code: 'RAFT_INVALID_OPTIONS' }
    await expect(mapOf(node(0)).set('k', 1, end)).rejects.toThrow(message)
    await expect(mapOf(node(0)).set('k', 1, end)).rejects.toMatchObject(refusal)
    const then = [{ kind: 'set', map: 'm', key: 'k', value: 1, ...end }] as const
    await expect(transact(node(0), { then })).rejects.toMatchObject(refusal)
    expect(cluster.log).toHaveLength(entries)
  })
})
