import { describe, expect, it } from 'vitest'
import type { Entry } from '../../../src/raft/core/index.ts'
import { asIndex, asTerm } from '../../../src/raft/core/index.ts'
import { BusyError } from '../../../src/raft/errors.ts'
import { defaultSnapshotPolicy } from '../../../src/raft/snapshots/policy.ts'
import { Snapshotter } from '../../../src/raft/snapshots/taker.ts'
import { MemorySnapshotStore } from '../../../src/raft/storage/snapshots/memory-snapshot-store.ts'
import { quietLogger } from '../../support/engine-cluster.ts'
import { until } from '../../support/until.ts'

function nextTurn () {
  return new Promise((resolve) => { setImmediate(resolve) })
}

function create () {
  const world = {
    nowMs: 0,
    applied: 0,
    isRestoring: false,
    error: null as Error | null,
    captureError: null as Error | null,
    open: [] as Array<() => void>,
    taken: [] as number[]
  }
  const store = new MemorySnapshotStore()
  const snapshotter = new Snapshotter({
    policy: { ...defaultSnapshotPolicy, entries: 10, bytes: 100, retryAfterMs: 1_000 },
    store,
    nowMs: () => world.nowMs,
    logger: quietLogger,
    capture: () => {
      if (world.isRestoring) return null
      if (world.captureError !== null) throw world.captureError
      const index = asIndex(world.applied)
      return { meta: { index, term: asTerm(1), timeMs: 0, configuration: new Uint8Array(0) }, source: slowly() }
    },
    taken: ({ index }) => { world.taken.push(index) }
  })
  /** Two chunks; the second one comes when the test says so. */
  const slowly = async function * (): AsyncGenerator<Uint8Array> {
    yield Buffer.from('one')
    await new Promise<void>((resolve) => { world.open.push(resolve) })
    if (world.error !== null) throw world.error
    yield Buffer.from('two')
  }
  const apply = (count: number, bytes = 1): void => {
    const entries: Entry[] = Array.from({ length: count }, () => ({
      index: asIndex(++world.applied),
      term: asTerm(1),
      kind: 'command',
      timeMs: 0,
      data: new Uint8Array(bytes)
    }))
    snapshotter.applied(entries)
  }
  const finish = async (): Promise<void> => {
    await nextTurn()
    for (const open of world.open.splice(0)) open()
    await nextTurn()
  }
  return { world, store, snapshotter, apply, finish }
}

describe('the snapshotter', () => {
  it('takes a snapshot after enough entries, one at a time, of the state at its start', async () => {
    const { world, store, apply, finish } = create()
    apply(9)
    expect(world.open).toHaveLength(0)
    apply(1)
    apply(15)
    await nextTurn()
    expect(world.open).toHaveLength(1)
    await finish()
    expect(store.latest()).toMatchObject({ index: 10, bytes: 6 })
    // What was applied meanwhile counts for the next one.
    apply(0)
    await finish()
    expect(world.taken).toEqual([10, 25])
  })

  it('takes a snapshot after enough bytes', async () => {
    const { world, apply, finish } = create()
    apply(2, 49)
    apply(1, 2)
    await finish()
    expect(world.taken).toEqual([3])
  })

  it('a failure leaves no file, and the next attempt comes after a pause, also without new entries', async () => {
    const { world, store, snapshotter, apply, finish } = create()
    world.error = new Error('full')
    apply(12)
    await finish()
    expect(store.latest()).toBeNull()
    world.error = null
    snapshotter.takeWhenDue()
    world.nowMs = 999
    snapshotter.takeWhenDue()
    await finish()
    expect(world.taken).toEqual([])
    world.nowMs = 1_000
    snapshotter.takeWhenDue()
    await finish()
    expect(world.taken).toEqual([12])
  })

  it('a state that cannot be captured throws at nobody, is tried again at growing intervals, and shows', async () => {
    const { world, store, snapshotter, apply, finish } = create()
    world.captureError = new BusyError('no paper')
    apply(12)
    const message = 'Not now: no paper; nothing was executed (RAFT_BUSY)'
    expect(snapshotter.failure).toEqual({ message, count: 1, sinceMs: 0 })
    const counts = [999, 1_000, 2_999, 3_000, 6_999, 7_000].map((nowMs) => {
      world.nowMs = nowMs
      snapshotter.takeWhenDue()
      return snapshotter.failure?.count
    })
    expect(counts).toEqual([1, 2, 2, 3, 3, 4])
    await expect(snapshotter.take()).rejects.toBe(world.captureError)
    expect(snapshotter.failure).toEqual({ message, count: 5, sinceMs: 7_000 })
    expect(store.latest()).toBeNull()
    world.captureError = null
    world.nowMs = 22_999
    snapshotter.takeWhenDue()
    await finish()
    expect(world.taken).toEqual([])
    world.nowMs = 23_000
    snapshotter.takeWhenDue()
    await finish()
    expect([world.taken, snapshotter.failure]).toEqual([[12], null])
  })

  it('waits 64 times as long at most after many failures, and forgets them with a state that was sent', () => {
    const { world, snapshotter, apply } = create()
    world.captureError = new Error('no paper')
    apply(12)
    for (let count = 2; count <= 40; count++) {
      world.nowMs += 64_000
      snapshotter.takeWhenDue()
      expect(snapshotter.failure?.count).toBe(count)
    }
    snapshotter.restored()
    expect(snapshotter.failure).toBeNull()
  })

  it('takes none while the state is being restored', async () => {
    const { world, snapshotter, apply, finish } = create()
    world.isRestoring = true
    apply(12)
    await finish()
    await expect(snapshotter.take()).rejects.toMatchObject({ code: 'RAFT_STOPPED' })
    world.isRestoring = false
    snapshotter.takeWhenDue()
    await finish()
    expect(world.taken).toEqual([12])
  })

  it('a requested snapshot waits for the one under way, and then covers the entries applied since', async () => {
    const { world, snapshotter, apply, finish } = create()
    apply(10)
    apply(1)
    const asked = snapshotter.take()
    await finish()
    await finish()
    expect(await asked).toMatchObject({ index: 11 })
    expect(await snapshotter.take()).toMatchObject({ index: 11 })
    expect(world.taken).toEqual([10, 11])
  })

  it('stopping it ends a snapshot under way, which leaves no file', async () => {
    const { world, store, snapshotter, apply, finish } = create()
    apply(10)
    await nextTurn()
    const stopped = snapshotter.stop()
    await finish()
    await stopped
    expect(store.latest()).toBeNull()
    apply(30)
    await finish()
    expect(world.taken).toEqual([])
    await expect(snapshotter.take()).rejects.toMatchObject({ code: 'RAFT_STOPPED' })
  })

  it('stopping it does not wait for a source that gives no more bytes, and leaves no file', async () => {
    const { world, store, snapshotter, apply, finish } = create()
    apply(10)
    const asked = expect(snapshotter.take()).rejects.toMatchObject({ code: 'RAFT_STOPPED' })
    await until('the source waits', () => world.open.length === 1)
    await snapshotter.stop()
    await asked
    expect(store.latest()).toBeNull()
    await finish()
    expect(world.taken).toEqual([])
  })
})
