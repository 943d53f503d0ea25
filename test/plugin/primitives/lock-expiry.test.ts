import { describe, expect, it } from 'vitest'
import { startLockExpiry } from '../../../src/plugin/primitives/lock-expiry.ts'
import { encodeCommand } from '../../../src/plugin/replicated/command.ts'
import type { TestNode } from './support/primitives.ts'
import { startTestCluster } from './support/primitives.ts'

let requests = 0
async function acquire (node: TestNode, name: string, ttlMs: number): Promise<void> {
  await node.engine.propose(
    encodeCommand({ kind: 'lock-acquire', name, owner: 'o', ttlMs, requestId: `r${requests++}` })
  )
}
async function renew (node: TestNode, name: string, ttlMs: number): Promise<void> {
  await node.engine.propose(
    encodeCommand({ kind: 'lock-renew', name, token: node.machine.locks.get(name)?.token ?? 0, ttlMs })
  )
}

describe('lock expiry', () => {
  it('ends a lock that is not renewed, on all nodes, by an entry of the log', async () => {
    const { node, advance } = startTestCluster(3)
    for (const at of [0, 1, 2]) startLockExpiry(node(at))
    await acquire(node(1), 'l', 1_000)
    await advance(950)
    for (const at of [0, 1, 2]) expect(node(at).machine.locks.get('l')).toBeDefined()
    await advance(100)
    for (const at of [0, 1, 2]) expect(node(at).machine.locks.get('l')).toBeUndefined()
    expect(JSON.stringify(node(1).machine)).toBe(JSON.stringify(node(0).machine))
  })

  it('counts from the last renewal, with its ttl', async () => {
    const { node, advance } = startTestCluster()
    startLockExpiry(node(0))
    await acquire(node(0), 'l', 1_000)
    await advance(900)
    await renew(node(0), 'l', 3_000)
    await advance(2_900)
    expect(node(0).machine.locks.get('l')).toBeDefined()
    await renew(node(0), 'l', 100)
    await advance(150)
    expect(node(0).machine.locks.get('l')).toBeUndefined()
  })

  it('proposes once for each lock, and nothing for locks that were released', async () => {
    const { cluster, node, advance } = startTestCluster()
    startLockExpiry(node(0))
    for (const name of ['a', 'b', 'c']) await acquire(node(0), name, 1_000)
    await node(0).engine.propose(
      encodeCommand({ kind: 'lock-release', name: 'b', token: node(0).machine.locks.get('b')?.token ?? 0 })
    )
    const before = cluster.log.length
    await advance(10_000)
    expect(cluster.log.length - before).toBe(2)
    expect(node(0).machine.locks.size).toBe(0)
    expect(node(0).clock.timers).toBe(0)
  })

  it('ends each lock at its own time', async () => {
    const { node, advance } = startTestCluster()
    startLockExpiry(node(0))
    await acquire(node(0), 'c', 1_400)
    await acquire(node(0), 'a', 1_000)
    await acquire(node(0), 'b', 1_200)
    const held = (): string[] => [...node(0).machine.locks.all()].map((lock) => lock.name).sort()
    await advance(1_050)
    expect(held()).toEqual(['b', 'c'])
    await advance(200)
    expect(held()).toEqual(['c'])
    await advance(200)
    expect(held()).toEqual([])
  })

  it('forgets, when it leads again, what ended while it did not lead', async () => {
    const { cluster, node, advance } = startTestCluster(2)
    startLockExpiry(node(0))
    await acquire(node(0), 'l', 1_000)
    cluster.lead(1)
    await node(1).engine.propose(encodeCommand({ kind: 'lock-release', name: 'l', token: 2 }))
    cluster.lead(0)
    await acquire(node(0), 'other', 1_500)
    const entries = cluster.log.length
    await advance(10_000)
    expect(cluster.log).toHaveLength(entries + 1)
  })

  it('starts the full time again on a new leader', async () => {
    const { cluster, node, advance } = startTestCluster(2)
    for (const at of [0, 1]) startLockExpiry(node(at))
    await acquire(node(0), 'l', 1_000)
    await advance(900)
    cluster.lead(1)
    await advance(950)
    expect(node(0).machine.locks.get('l')).toBeDefined()
    await advance(100)
    expect(node(0).machine.locks.get('l')).toBeUndefined()
  })

  it('D24: clocks that disagree and jump end no lock early', async () => {
    const { cluster, node } = startTestCluster(3)
    for (const at of [0, 1, 2]) startLockExpiry(node(at))
    await acquire(node(0), 'l', 1_000)
    for (const { clock } of [node(1), node(2)]) await clock.advance(1_000_000)
    node(0).clock.moveWall(1_000_000)
    cluster.timeMs += 1_000_000
    await node(0).clock.advance(900)
    expect(node(0).machine.locks.get('l')).toBeDefined()
    cluster.lead(1)
    await node(1).clock.advance(900)
    await node(0).clock.advance(1_000_000)
    expect(node(1).machine.locks.get('l')).toBeDefined()
    await node(1).clock.advance(100)
    expect(node(1).machine.locks.get('l')).toBeUndefined()
  })

  it('D25: the tokens after an expiry and a change of leader are higher than all before', async () => {
    const { cluster, node, advance } = startTestCluster(2)
    for (const at of [0, 1]) startLockExpiry(node(at))
    let last = 0
    for (let round = 0; round < 6; round++) {
      const { token } = cluster.lead(round % 2)
      expect(token).toBeGreaterThan(last)
      await acquire(node(0), 'l', 100)
      const lockToken = node(0).machine.locks.get('l')?.token ?? 0
      expect(lockToken).toBeGreaterThan(token)
      last = lockToken
      await advance(200)
      expect(node(0).machine.locks.get('l')).toBeUndefined()
    }
  })

  it('tries again when the proposal fails, and does not end what was renewed meanwhile', async () => {
    const { node, advance } = startTestCluster(2)
    startLockExpiry(node(0))
    await acquire(node(1), 'l', 200)
    await acquire(node(1), 'renewed', 200)
    node(0).engine.fate = 'busy'
    await advance(300)
    await renew(node(1), 'renewed', 5_000)
    node(0).engine.fate = 'applied'
    await advance(1_500)
    expect(node(0).machine.locks.get('l')).toBeUndefined()
    expect(node(0).machine.locks.get('renewed')).toBeDefined()
  })

  it('an expiry that arrives after a renewal ends nothing', async () => {
    const { node, advance } = startTestCluster(2)
    startLockExpiry(node(0))
    await acquire(node(1), 'l', 200)
    node(0).engine.fate = 'late'
    await advance(250)
    await renew(node(1), 'l', 5_000)
    node(0).engine.deliverLate()
    expect(node(0).machine.locks.get('l')).toBeDefined()
  })

  it('leaves followers, and a node that stopped, without timers', async () => {
    const { cluster, node } = startTestCluster(2)
    const expiries = [0, 1].map((at) => startLockExpiry(node(at)))
    await acquire(node(0), 'l', 1_000)
    expect(node(0).clock.timers).toBe(1)
    expect(node(1).clock.timers).toBe(0)
    cluster.lead(1)
    expect(node(0).clock.timers).toBe(0)
    expect(node(1).clock.timers).toBe(1)
    for (const expiry of expiries) expiry.stop()
    expect(node(1).clock.timers).toBe(0)
    expect(node(1).engine.events.listenerCount('leadership')).toBe(0)
  })
})
