import { afterEach, describe, expect, it } from 'vitest'
import { asIndex, asNodeId, asTerm } from '../../../src/raft/core/index.ts'
import type { SnapshotInfo, SnapshotMeta, SnapshotStore } from '../../../src/raft/index.ts'
import { MemorySnapshotStore, MemoryStorage, openRaftEngine } from '../../../src/raft/index.ts'
import { filterRequests } from '../../../src/raft/internal.ts'
import { toMeta } from '../../../src/raft/snapshots/meta.ts'
import { configurationOf } from '../../support/configurations.ts'
import type { EngineClusterOptions, TestNode } from '../../support/engine-cluster.ts'
import { EngineCluster, JournalMachine, quietLogger, testTiming } from '../../support/engine-cluster.ts'
import { until } from '../../support/until.ts'

const clusters: EngineCluster[] = []

afterEach(async () => { for (const cluster of clusters.splice(0)) await cluster.close() })

async function start (size: number, options: EngineClusterOptions = {}) {
  const cluster = new EngineCluster(options)
  clusters.push(cluster)
  await cluster.start(size)
  return { cluster, leader: await until('a leader', () => cluster.leaders[0]) }
}

/** Limits small enough for frequent snapshots in a test. */
const often = { entries: 50, bytes: 1_000_000, trailingEntries: 10, trailingBytes: 1_000_000, retryAfterMs: 50 }

async function write (node: TestNode, from: number, count: number): Promise<string[]> {
  const commands = Array.from({ length: count }, (_, position) => `w${from + position}`)
  await Promise.all(commands.map((command) => node.engine.propose(Buffer.from(command))))
  return commands
}

/** Null while there is no leader. */
function snapshotIndexOf (node: TestNode): number | null {
  return node.engine.status().snapshotIndex || null
}

/** A log that is closed: what it would recover. */
async function recoveredFrom (storage: MemoryStorage) {
  const recovered = await storage.open()
  await storage.close()
  return recovered
}

describe('snapshots in the background', () => {
  it('are taken when enough was applied; the log is compacted behind them, and a restart applies each command once', async () => {
    const { cluster, leader } = await start(1, { snapshotPolicy: often })
    const events: number[] = []
    leader.engine.events.on('snapshot', ({ index }) => {
      events.push(index)
    })
    const commands: string[] = []
    for (let round = 0; round < 4; round++) commands.push(...(await write(leader, round * 40, 40)))
    const index = await until('a snapshot', () => snapshotIndexOf(leader))
    await until('the event of it', () => events.includes(index))
    await leader.close()
    const { base, entries } = await recoveredFrom(leader.storage)
    expect(base.index).toBeGreaterThan(30)
    expect(base.index).toBeLessThanOrEqual(leader.snapshots.latest()?.index ?? 0)
    expect(entries[0]?.index).toBe(base.index + 1)
    const again = await cluster.restart(leader.id)
    await until('a leader', () => again.engine.currentLeadership())
    expect([...again.machine.journal].sort()).toEqual([...commands].sort())
    expect(again.engine.status().snapshotIndex).toBeGreaterThanOrEqual(index)
  })

  it('are also due by bytes', async () => {
    const { leader } = await start(1, { snapshotPolicy: { ...often, entries: 1_000_000, bytes: 2_000 } })
    await leader.engine.propose(Buffer.alloc(2_000, 'x'))
    await until('a snapshot', () => snapshotIndexOf(leader))
  })

  it('a failed snapshot is reported and tried again later, and the node goes on', async () => {
    const errors: unknown[] = []
    const failing = new FailingStore(2)
    const logger = {
      ...quietLogger,
      error: (fields: object, message: string) => {
        errors.push({ ...fields, message })
      }
    }
    const { leader } = await start(1, { snapshotPolicy: often, snapshots: () => failing, logger })
    await write(leader, 0, 60)
    await until('the first failure', () => errors.length === 1)
    expect(errors).toMatchObject([
      { err: { code: 'ENOSPC' }, message: 'taking a snapshot failed; the log is not compacted, and a new attempt follows' }
    ])
    expect(leader.engine.status()).toMatchObject({ snapshotIndex: 0, failure: null })
    await until('a snapshot without another write', () => snapshotIndexOf(leader))
    expect(errors).toHaveLength(2)
    expect(await leader.engine.propose(Buffer.from('after'))).toMatchObject({ text: 'after' })
  })

  it('a requested snapshot is the existing one when nothing was applied since', async () => {
    const { leader } = await start(1)
    await write(leader, 0, 5)
    const taken = await leader.engine.takeSnapshot()
    expect(taken.index).toBe(leader.engine.status().appliedIndex)
    expect(await leader.engine.takeSnapshot()).toEqual(taken)
    await write(leader, 5, 1)
    expect((await leader.engine.takeSnapshot()).index).toBeGreaterThan(taken.index)
  })

  it('a requested snapshot that fails rejects with the reason, and the node goes on', async () => {
    const { leader } = await start(1, { snapshots: () => new FailingStore(1) })
    await write(leader, 0, 5)
    await expect(leader.engine.takeSnapshot()).rejects.toMatchObject({ code: 'ENOSPC' })
    expect(await leader.engine.takeSnapshot()).toMatchObject({ term: 1 })
    expect(leader.engine.currentLeadership()).not.toBeNull()
  })
})

describe('a start from log and snapshot', () => {
  it('is refused with a code and a way out when no snapshot covers the entries before the log, and changes nothing', async () => {
    const { leader } = await start(1)
    await write(leader, 0, 20)
    await leader.engine.takeSnapshot()
    await leader.close()
    const options = { ...loneOptions(leader.storage), snapshots: new MemorySnapshotStore() }
    const before = await recoveredFrom(leader.storage)
    // By default trailing entries stay: this log was not compacted yet.
    expect(before.base.index).toBe(0)
    await leader.storage.open()
    await leader.storage.compact(asIndex(10))
    await leader.storage.close()
    await expect(openRaftEngine(options)).rejects.toMatchObject({
      code: 'RAFT_SNAPSHOT_MISSING',
      message: expect.stringMatching(
        /starts behind index 10, and there is no snapshot.*Nothing was changed.*two ways out/s
      ) as string
    })
    expect(await recoveredFrom(leader.storage)).toMatchObject({ base: { index: 10 }, hardState: before.hardState })
  })

  it('starts the log anew when a crash came after the snapshot was received and before the log was restarted', async () => {
    const storage = new MemoryStorage()
    await storage.open()
    await storage.append({
      hardState: { term: asTerm(1), vote: null, commit: asIndex(0) },
      entries: [{ index: asIndex(1), term: asTerm(1), kind: 'noop', timeMs: 5 }]
    })
    await storage.close()
    const snapshots = new MemorySnapshotStore()
    const machine = new JournalMachine()
    const donor = await start(1)
    await write(donor.leader, 0, 3)
    await donor.leader.engine.takeSnapshot()
    const held = donor.leader.snapshots.latest()
    if (held === null) throw new Error('no snapshot was taken')
    const meta: SnapshotMeta = toMeta({
      index: asIndex(9),
      term: asTerm(3),
      timeMs: 7,
      held: { index: 4, configuration: configurationOf([asNodeId('n1')]) }
    })
    await snapshots.save(meta, donor.leader.snapshots.read(held))
    const engine = await openRaftEngine({ ...loneOptions(storage), snapshots, stateMachine: machine })
    expect(engine.status()).toMatchObject({ appliedIndex: 0, commitIndex: 9, lastIndex: 9, snapshotIndex: 9, term: 3 })
    expect(engine.membership()).toMatchObject({ version: 4 })
    engine.start()
    await engine.waitForState()
    expect(machine.journal).toEqual(['w0', 'w1', 'w2'])
    expect(engine.status().appliedIndex).toBeGreaterThanOrEqual(9)
    await until('leadership', () => engine.currentLeadership())
    await engine.stop()
    expect(await recoveredFrom(storage)).toMatchObject({ base: { index: 9, term: 3 } })
  })
})

describe('a follower that is far behind', () => {
  it('catches up by a snapshot while writes go on, and has the same state as the others', async () => {
    const { cluster, leader } = await start(3, { snapshotPolicy: often })
    const behind = [...cluster.nodes.values()].find((node) => node !== leader) as TestNode
    await behind.close()
    let written = 0
    for (; written < 300; written += 60) await write(leader, written, 60)
    await until('the log was compacted', () => leader.engine.status().snapshotIndex > 250)
    const again = await cluster.restart(behind.id)
    const writing = (async () => {
      for (let round = 0; round < 10; round++, written += 10) {
        await write(leader, written, 10)
      }
    })()
    await until('the snapshot', () => again.engine.status().snapshotIndex > 200)
    await writing
    await again.engine.readBarrier()
    expect(again.machine.journal).toEqual(leader.machine.journal)
    expect(new Set(again.machine.journal).size).toBe(written)
    expect(again.engine.status().failure).toBeNull()
    expect(await again.engine.propose(Buffer.from('from the one that was behind'))).toBeDefined()
    await again.close()
    const { base, entries } = await recoveredFrom(again.storage)
    expect(entries[0]?.index).toBe(base.index + 1)
  })

  it('does not slow the others down while it is sent a snapshot: heartbeats and writes go on, and the leader stays', async () => {
    const slow = { ...often, trailingEntries: 0, entries: 1_000_000, bytes: 1_000_000_000, bytesPerSecond: 200_000 }
    const { cluster, leader } = await start(3, { snapshotPolicy: slow, snapshots: () => new MemorySnapshotStore() })
    const behind = [...cluster.nodes.values()].find((node) => node !== leader) as TestNode
    const { term } = leader.engine.status()
    await behind.close()
    await leader.engine.propose(Buffer.alloc(400_000, 'x'))
    await leader.engine.takeSnapshot()
    const again = await cluster.restart(behind.id)
    let writes = 0
    let longestMs = 0
    while (snapshotIndexOf(again) === null) {
      const startMs = performance.now()
      await leader.engine.propose(Buffer.from(`w${writes++}`))
      longestMs = Math.max(longestMs, performance.now() - startMs)
    }
    await again.engine.readBarrier()
    expect(again.machine.journal).toEqual(leader.machine.journal)
    expect(writes).toBeGreaterThan(20)
    expect(longestMs).toBeLessThan(1_500)
    expect(leader.engine.status()).toMatchObject({ role: 'leader', term })
  })

  it('A18 waiters on the applied index wake: a read, and a command that the snapshot covers, with its answer', async () => {
    const { cluster, leader } = await start(3, { snapshotPolicy: { trailingEntries: 0 } })
    const behind = [...cluster.nodes.values()].find((node) => node !== leader) as TestNode
    await behind.engine.propose(Buffer.from('opens the session'))
    filterRequests(behind.server, (request) => {
      if (request.url?.endsWith('/append') !== true) return false
      request.destroy()
      return true
    })
    const own = behind.engine.propose(Buffer.from('covered'), { timeoutMs: 20_000 })
    await until('the leader has applied it', () => leader.machine.journal.includes('covered'))
    await write(leader, 0, 50)
    const read = behind.engine.readBarrier({ timeoutMs: 20_000 })
    expect(behind.machine.journal).toEqual(['opens the session'])
    await leader.engine.takeSnapshot()
    expect(await own).toMatchObject({ text: 'covered' })
    await read
    expect(behind.machine.journal).toEqual(leader.machine.journal)
    expect(snapshotIndexOf(behind)).toBe(snapshotIndexOf(leader))
  })
})

/** A store whose first saves fail: the disk is full. */
class FailingStore extends MemorySnapshotStore implements SnapshotStore {
  #failures: number

  constructor (failures: number) {
    super()
    this.#failures = failures
  }

  override async save (...save: Parameters<MemorySnapshotStore['save']>): Promise<SnapshotInfo> {
    if (this.#failures-- > 0) throw Object.assign(new Error('no space left on device'), { code: 'ENOSPC' })
    return await super.save(...save)
  }
}

function loneOptions (storage: MemoryStorage) {
  return {
    nodeId: 'n1',
    clusterId: 'test',
    members: [{ id: 'n1', url: 'http://127.0.0.1:1' }],
    storage,
    stateMachine: new JournalMachine(),
    timing: testTiming,
    logger: quietLogger
  }
}
