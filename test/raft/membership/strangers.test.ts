import http from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import type { Member, RaftEngine } from '../../../src/raft/index.ts'
import { MemorySnapshotStore, MemoryStorage, openRaftEngine } from '../../../src/raft/index.ts'
import { filterRequests, peerRequestFilter } from '../../../src/raft/internal.ts'
import type { TestNode } from '../../support/engine-cluster.ts'
import { EngineCluster, JournalMachine, quietLogger, testTiming } from '../../support/engine-cluster.ts'
import { until } from '../../support/until.ts'

let cluster = new EngineCluster()

beforeEach(() => { cluster = new EngineCluster() })
afterEach(async () => { await cluster.close() })

/** A leader, and all members write down by which logs they know each other. */
async function settled (): Promise<TestNode> {
  const nodes = [...cluster.nodes.values()]
  await until('all members know each other by their logs', () => nodes.every(({ engine, storage }) =>
    engine.membership().isSettled && nodes.every(({ id }) => storage.hasRecorded(id))))
  return await until('a leader', () => cluster.leaders[0])
}

async function listen (handler: http.RequestListener): Promise<{ readonly server: http.Server, readonly url: string }> {
  const server = http.createServer(handler)
  onTestFinished(async () => {
    server.closeAllConnections()
    await new Promise((resolve) => { server.close(resolve) })
  })
  await new Promise<void>((resolve) => { server.listen(0, '127.0.0.1', resolve) })
  return { server, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` }
}

/** A reverse proxy as operators set it up: it says who the client is. */
async function reverseProxy (target: string): Promise<string> {
  const { url } = await listen((request, response) => {
    const headers = { ...request.headers, 'x-forwarded-for': request.socket.remoteAddress }
    const passed = http.request(target + request.url, { method: request.method, headers }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers)
      answer.pipe(response)
    })
    passed.on('error', () => { response.destroy() })
    request.pipe(passed)
  })
  return url
}

/** Two nodes that name the victim as their third member: they are a majority without it. */
async function attackersOf (victim: Member, ids: readonly string[]): Promise<readonly RaftEngine[]> {
  const places = await Promise.all(ids.map(() => listen((_request, response) => { response.writeHead(404).end() })))
  const members = [...ids.map((id, index) => ({ id, url: places[index]?.url ?? '' })), victim]
  const engines = await Promise.all(ids.map(async (id, index) => {
    const engine = await openRaftEngine({
      nodeId: id,
      clusterId: 'test',
      members,
      storage: new MemoryStorage(),
      snapshots: new MemorySnapshotStore(),
      stateMachine: new JournalMachine(),
      timing: testTiming,
      logger: quietLogger
    })
    const server = places[index]?.server
    if (server === undefined) throw new Error('a server for each')
    filterRequests(server, peerRequestFilter('/_cluster/raft/', engine.handlePeerRequest))
    onTestFinished(async () => { await engine.stop() })
    engine.start()
    return engine
  }))
  await until('the attackers have a leader', () => engines.some((engine) => engine.currentLeadership() !== null))
  return engines
}

/** They hand leadership to and fro, so that their term comes to lie above that of the victim, and write meanwhile. */
async function attack (engines: readonly RaftEngine[]): Promise<void> {
  for (let round = 0; round < 8; round++) {
    await engines[0]?.propose(Buffer.from(`forged ${round}`))
    await until('the other one leads', async () => {
      const leader = engines.find((engine) => engine.currentLeadership() !== null)
      const next = engines.find((engine) => engine !== leader)?.status().nodeId
      return await leader?.transferLeadership(next ?? null)
    })
    await new Promise((resolve) => { setTimeout(resolve, 2 * testTiming.heartbeatMs) })
  }
}

describe('two nodes that name a node of another cluster as their third member', () => {
  async function victims (size: number): Promise<{ readonly nodes: readonly TestNode[], readonly leader: TestNode }> {
    await cluster.start(size)
    const leader = await settled()
    await leader.engine.propose(Buffer.from('acknowledged'))
    const nodes = [...cluster.nodes.values()]
    await until('all have it', () => nodes.every(({ machine }) => machine.journal.length === 1))
    return { nodes, leader }
  }

  for (const way of ['directly', 'through a reverse proxy'] as const) {
    for (const names of [['x1', 'x2'], ['n1', 'n2', 'n3']] as const) {
      const who = names[0] === 'x1' ? 'names of their own' : 'names of its members'
      it(`cannot change or depose it ${way}, under ${who}`, async () => {
        const { nodes, leader } = await victims(3)
        const { term } = leader.engine.status()
        const version = leader.engine.membership().version
        for (const victim of nodes) {
          const url = way === 'directly' ? victim.url : await reverseProxy(victim.url)
          const ids = names.filter((id) => id !== victim.id)
          await attack(await attackersOf({ id: victim.id, url }, ids))
        }
        expect(cluster.leaders).toEqual([leader])
        await leader.engine.propose(Buffer.from('goes on'))
        await until('all have it', () => nodes.every(({ machine }) => machine.journal.includes('goes on')))
        for (const { engine, machine } of nodes) {
          expect(machine.journal).toEqual(['acknowledged', 'goes on'])
          expect(engine.status()).toMatchObject({ term, failure: null })
          expect(engine.membership().version).toBe(version)
        }
      }, 60_000)
    }
  }

  it('find no peer routes on a node that never had another member', async () => {
    const { nodes: [victim] } = await victims(1)
    if (victim === undefined) throw new Error('one node')
    const { term } = victim.engine.status()
    await attack(await attackersOf(victim, ['x1', 'x2']))
    expect(victim.machine.journal).toEqual(['acknowledged'])
    expect(victim.engine.status()).toMatchObject({ term, failure: null })
    const response = await fetch(`${victim.url}/_cluster/raft/append`, { method: 'POST' })
    expect(response.status).toBe(404)
  }, 60_000)

  it('find them on a node that has lost its other members, whether or not one of those ever called it', async () => {
    await cluster.start(2)
    const leader = await settled()
    const [other] = [...cluster.nodes.values()].filter((node) => node !== leader)
    await leader.engine.changeMembership([{ kind: 'remove', id: other?.id ?? '' }])
    await other?.close()
    const response = await fetch(`${leader.url}/_cluster/raft/append`, { method: 'POST' })
    expect(response.status).toBe(415)
  })
})

describe('a member that another one has not heard of', () => {
  /** A cluster of three of which one is away, and does not know of the fourth member that leads now. */
  async function newcomerLeads (): Promise<{ readonly newcomer: TestNode, readonly awayId: string }> {
    await cluster.start(3)
    const first = await settled()
    await first.engine.propose(Buffer.from('before'))
    const away = [...cluster.nodes.values()].find((node) => node !== first)
    if (away === undefined) throw new Error('three nodes')
    await away.close()
    const newcomer = await cluster.startJoiner('n4')
    for (const change of [{ kind: 'add-learner', id: 'n4', url: newcomer.url }, { kind: 'promote', id: 'n4' }] as const) {
      await until(change.kind, async () => await cluster.leaders[0]?.engine.changeMembership([change]))
    }
    await until('it leads', async () => {
      if (cluster.leaders[0] !== newcomer) await cluster.leaders[0]?.engine.transferLeadership('n4')
      return cluster.leaders[0] === newcomer
    })
    return { newcomer, awayId: away.id }
  }

  it('leads it all the same: the member that was away learns the membership from it', async () => {
    const { newcomer, awayId } = await newcomerLeads()
    const back = await cluster.restart(awayId)
    await newcomer.engine.propose(Buffer.from('from n4'))
    await until('it has caught up', () => back.machine.journal.includes('from n4'))
    expect(back.engine.membership().members.map(({ id }) => id)).toContain('n4')
  }, 30_000)

  it('gets its vote, without which no node could lead', async () => {
    const { newcomer, awayId } = await newcomerLeads()
    const others = [...cluster.nodes.values()].filter((node) => node !== newcomer)
    for (const node of others) await node.close()
    // Nobody else has this entry, so that nobody else can be elected; three of four must vote.
    const lastIndex = newcomer.engine.status().lastIndex
    const write = newcomer.engine.propose(Buffer.from('on n4 alone'), { timeoutMs: 20_000 })
    await until('it is in the log of n4', () => newcomer.engine.status().lastIndex > lastIndex)
    await until('n4 leads no more', () => newcomer.engine.status().role !== 'leader')
    const back = await cluster.restart(awayId)
    const [other] = others
    if (other === undefined) throw new Error('two others')
    await cluster.restart(other.id)
    await expect(write).resolves.toMatchObject({ text: 'on n4 alone' })
    await until('it knows n4 now', () => back.engine.membership().members.some(({ id }) => id === 'n4'))
  }, 40_000)
})
