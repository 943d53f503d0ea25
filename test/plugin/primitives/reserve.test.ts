import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { PrimitiveContext } from '../../../src/plugin/primitives/context.ts'
import { createLock } from '../../../src/plugin/primitives/lock.ts'
import { startLockExpiry } from '../../../src/plugin/primitives/lock-expiry.ts'
import { createMachine } from '../../../src/plugin/primitives/machine.ts'
import { createMap } from '../../../src/plugin/primitives/map.ts'
import { ClusterStateMachine } from '../../../src/plugin/replicated/cluster-state-machine.ts'
import { FileStorage, MemorySnapshotStore, openRaftEngine } from '../../../src/raft/index.ts'
import { systemClock } from '../../../src/raft/internal.ts'
import { nodeFileOperations } from '../../../src/raft/storage/disk/file-system.ts'
import { MemoryLogger } from '../../support/memory-logger.ts'
import { until } from '../../support/until.ts'

const minFreeBytes = 1_000

/** A lone leader on a disk with as many free bytes as the test says. */
async function startLeader () {
  const directory = await mkdtemp(join(tmpdir(), 'fastify-raft-reserve-'))
  const disk = { freeBytes: 10 * minFreeBytes }
  const storage = new FileStorage({
    directory,
    identity: { clusterId: 'test', nodeId: 'n1' },
    minFreeBytes,
    spaceCheckIntervalMs: 5
  }, { ...nodeFileOperations, freeBytes: () => Promise.resolve(disk.freeBytes) })
  const machine = new ClusterStateMachine()
  const logger = new MemoryLogger()
  const engine = await openRaftEngine({
    nodeId: 'n1',
    clusterId: 'test',
    members: [{ id: 'n1', url: 'http://127.0.0.1:1' }],
    storage,
    snapshots: new MemorySnapshotStore(),
    stateMachine: machine,
    timing: { heartbeatMs: 50, electionTimeoutMinMs: 250, electionTimeoutMaxMs: 500 },
    logger
  })
  const context: PrimitiveContext = { engine, machine, clock: systemClock, logger, defaultTimeoutMs: 5_000 }
  const counter = createMachine(context, 'counter', {
    version: 1,
    initial: () => 0,
    apply: (state: number, by: number) => ({ state: state + by, answer: state + by })
  })
  machine.machines.seal()
  const expiry = startLockExpiry(context)
  onTestFinished(async () => {
    expiry.stop()
    await engine.stop()
    await rm(directory, { recursive: true, force: true })
  })
  engine.start()
  await until('it leads', () => engine.currentLeadership() !== null)
  const setFree = async (freeBytes: number): Promise<void> => {
    disk.freeBytes = freeBytes
    await until('it is noticed', () =>
      storage.lowSpace === (freeBytes < minFreeBytes) && storage.criticalSpace === (freeBytes < minFreeBytes / 2)
    )
  }
  return { context, counter, storage, setFree }
}

const busy = { code: 'RAFT_BUSY' }

describe('a leader that is low on space', () => {
  it('refuses what may grow, and goes on to delete, and to renew, release and end locks', async () => {
    const { context, counter, setFree } = await startLeader()
    const map = createMap<number>(context, 'm')
    await map.set('a', 1)
    await map.set('b', 2)
    const kept = await createLock(context, 'kept').acquire({ ttlMs: 600 })
    const released = await createLock(context, 'released').acquire()
    await context.engine.propose(
      Buffer.from(JSON.stringify({ kind: 'lock-acquire', name: 'dead', owner: 'o', ttlMs: 300, requestId: 'r1' }))
    )

    await setFree(minFreeBytes - 1)
    await expect(map.set('a', 3)).rejects.toMatchObject(busy)
    await expect(counter.propose(1)).rejects.toMatchObject(busy)
    await expect(createLock(context, 'new').tryAcquire()).rejects.toMatchObject(busy)
    await expect(map.delete('a', { idempotencyKey: 'k' })).rejects.toMatchObject({ code: 'RAFT_BUSY' })
    expect(await map.delete('a')).toMatchObject({ existed: true })
    await released.release()
    const renewals = (): number => context.machine.locks.get('kept')?.renewal ?? 0
    const before = renewals()
    await until('renewals', () => renewals() >= before + 3)
    kept.check()
    expect(context.machine.locks.get('dead')).toBeUndefined()

    await setFree(minFreeBytes)
    await map.set('a', 4)
    expect(await counter.propose(1)).toBe(1)
    await kept.release()
  })

  it('writes only what frees space from the lower half of the reserve: locks end that nobody can renew', async () => {
    const { context, setFree } = await startLeader()
    const map = createMap<number>(context, 'm')
    await map.set('a', 1)
    const lost = await createLock(context, 'lost').acquire({ ttlMs: 600 })
    const released = await createLock(context, 'released').acquire()
    await setFree(minFreeBytes / 2 - 1)
    await until('it is lost', () => lost.signal.aborted)
    await until('it has ended', () => context.machine.locks.get('lost') === undefined)
    await released.release()
    expect(await map.delete('a')).toMatchObject({ existed: true })
    await expect(map.set('a', 2)).rejects.toMatchObject(busy)
  })

  it('takes from a mixed batch what may use the reserve, and refuses the rest', async () => {
    const { context, setFree } = await startLeader()
    const map = createMap<number>(context, 'm')
    await Promise.all(['a', 'b', 'c'].map((key) => map.set(key, 1)))
    await setFree(minFreeBytes - 1)
    const outcomes = await Promise.allSettled(
      ['a', 'b', 'c'].flatMap((key) => [map.set(key, 2), map.delete(key), map.set(`${key}${key}`, 2)])
    )
    expect(outcomes.map(({ status }) => status)).toEqual(
      ['a', 'b', 'c'].flatMap(() => ['rejected', 'fulfilled', 'rejected'])
    )
    expect((await map.list()).entries).toEqual([])
  })
})
