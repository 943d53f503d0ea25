import { expect, it } from 'vitest'
import { asIndex, asNodeId, asTerm } from '../../../src/raft/core/index.ts'
import { MemorySnapshotStore, MemoryStorage, openRaftEngine } from '../../../src/raft/index.ts'
import { isPeerUrl } from '../../../src/raft/transport/peer-url.ts'
import { JournalMachine, quietLogger, testTiming } from '../../support/engine-cluster.ts'

it.each([
  ['http://127.0.0.1:1', true],
  ['https://node.test', true],
  ['http://127.0.0.1:1/', true],
  ['', false],
  ['n1', false],
  ['ftp://127.0.0.1:1', false],
  ['http://127.0.0.1:1/path', false],
  ['http://127.0.0.1:1?query', false]
])('whether a peer can be called at "%s": %s', (url, isOne) => {
  expect(isPeerUrl(url)).toBe(isOne)
})

it('a log that names a member without a usable URL is one that a node starts from', async () => {
  const ids = ['n1', 'n2', 'n3'].map(asNodeId)
  const members = ids.map((id) => ({ id, address: 'nowhere', incarnation: '' }))
  const configuration = { members, voters: ids, outgoing: [], learners: [] }
  const storage = new MemoryStorage()
  await storage.open()
  await storage.append({
    hardState: { term: asTerm(1), vote: null, commit: asIndex(0) },
    entries: [{ kind: 'configuration', index: asIndex(1), term: asTerm(1), timeMs: 0, configuration }]
  })
  await storage.close()
  const engine = await openRaftEngine({
    nodeId: 'n1',
    clusterId: 'test',
    members: [],
    storage,
    snapshots: new MemorySnapshotStore(),
    stateMachine: new JournalMachine(),
    timing: testTiming,
    logger: quietLogger
  })
  engine.start()
  expect(engine.status()).toMatchObject({ role: 'follower', failure: null })
  await engine.stop()
})
