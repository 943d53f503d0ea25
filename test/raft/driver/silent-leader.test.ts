import { describe, expect, it, onTestFinished } from 'vitest'
import { asIndex, asNodeId, asTerm } from '../../../src/raft/core/index.ts'
import { RaftNode } from '../../../src/raft/driver/node.ts'
import { openLog } from '../../../src/raft/driver/open-log.ts'
import { toTicks } from '../../../src/raft/driver/timing.ts'
import { MemorySnapshotStore, MemoryStorage } from '../../../src/raft/index.ts'
import { defaultSnapshotPolicy } from '../../../src/raft/snapshots/policy.ts'
import { configurationOf } from '../../support/configurations.ts'
import { quietLogger } from '../../support/engine-cluster.ts'
import { ManualClock } from '../../support/manual-clock.ts'

const [n1, n2, n3] = [asNodeId('n1'), asNodeId('n2'), asNodeId('n3')]
const heartbeatMs = 100

/** The follower n2 of n1, and what it asks of its transport. */
async function follower () {
  const clock = new ManualClock()
  const storage = new MemoryStorage()
  const snapshots = new MemorySnapshotStore()
  const node = new RaftNode({
    nodeId: n2,
    configuration: configurationOf([n1, n2, n3]),
    timing: toTicks({ heartbeatMs, electionTimeoutMinMs: 10_000, electionTimeoutMaxMs: 20_000 }),
    seed: 1,
    storage,
    snapshots,
    snapshotPolicy: defaultSnapshotPolicy,
    recovered: await openLog(storage, snapshots),
    clock,
    timers: clock,
    logger: quietLogger
  })
  onTestFinished(async () => { await node.stop() })
  const tried: string[] = []
  const asked: string[] = []
  node.start({
    transport: {
      setPeers: () => {},
      send: (messages) => { asked.push(...messages.map(({ kind, to }) => `${kind} ${to}`)) },
      forward: () => Promise.reject(new Error('nobody')),
      sendSnapshot: () => Promise.reject(new Error('nobody')),
      commitAwaitedBy: () => {},
      tryConnection: (peer) => { tried.push(peer) },
      close: async () => {}
    },
    listener: {
      apply: () => {},
      snapshot: () => { throw new Error('none is due') },
      restore: () => Promise.reject(new Error('there is none')),
      snapshotTaken: () => {},
      applied: () => {},
      readDecided: () => {},
      configurationChanged: () => {},
      viewChanged: () => {},
      leadershipNews: () => {},
      ticked: () => {},
      failed: () => {}
    }
  })
  let round = 0
  const hear = async (): Promise<void> => {
    round++
    await node.receive([
      { kind: 'heartbeat-request', from: n1, to: n2, term: asTerm(1), commit: asIndex(0), round }
    ])
  }
  await hear()
  return { node, clock, tried, asked, hear }
}

describe('a follower', () => {
  it('tries no connection to a leader that it hears', async () => {
    const { clock, tried, hear } = await follower()
    for (let beat = 0; beat < 20; beat++) {
      await clock.advance(heartbeatMs)
      await hear()
    }
    expect(tried).toEqual([])
  })

  it('tries one to a leader that is silent for two heartbeats, and again at each', async () => {
    const { clock, tried } = await follower()
    await clock.advance(2 * heartbeatMs - 20)
    expect(tried).toEqual([])
    await clock.advance(20)
    expect(tried).toEqual([n1])
    await clock.advance(3 * heartbeatMs)
    expect(tried).toEqual([n1, n1, n1, n1])
  })

  it('asks for pre-votes once no lease can hold when that is refused, and not before', async () => {
    const { node, clock, asked } = await follower()
    await clock.advance(2 * heartbeatMs)
    node.connectionRefused(n1)
    await clock.advance(heartbeatMs - 20)
    expect(asked).toEqual([])
    // n3 is behind this node in the order of the voters.
    await clock.advance(20)
    expect(asked).toEqual(['pre-vote-request n1', 'pre-vote-request n3'])
  })

  it('waits for its election timeout when it is not refused', async () => {
    const { clock, asked } = await follower()
    await clock.advance(9_000)
    expect(asked).toEqual([])
  })
})
