import { afterEach, describe, expect, it } from 'vitest'
import type { Configuration } from '../../../src/raft/core/index.ts'
import { asNodeId, stableConfiguration } from '../../../src/raft/core/index.ts'
import type { Member } from '../../../src/raft/index.ts'
import { MemberUrls } from '../../../src/raft/membership/member-urls.ts'
import type { TestNode } from '../../support/engine-cluster.ts'
import { EngineCluster } from '../../support/engine-cluster.ts'
import { until } from '../../support/until.ts'

const clusters: EngineCluster[] = []

afterEach(async () => { for (const cluster of clusters.splice(0)) await cluster.close() })

const [n1, n2, n3] = [asNodeId('n1'), asNodeId('n2'), asNodeId('n3')]
const own = 'http://own'

/** The URLs of n1; in its log n1, n2 and n3 are at their old URLs with the incarnations a, b and c. */
function urlsOfN1 (
  more: Partial<ConstructorParameters<typeof MemberUrls>[0]> = {},
  incarnations: Readonly<Record<string, string>> = { n1: 'a', n2: 'b', n3: 'c' }
): { readonly urls: MemberUrls, readonly node: { configuration: Configuration } } {
  const first = stableConfiguration([n1, n2, n3].map((id) => ({ id, address: `http://old-${id}` })))
  const node = {
    configuration: {
      ...first,
      members: first.members.map((member) => ({ ...member, incarnation: incarnations[member.id] ?? '' }))
    },
    configurationIndex: 5,
    appliedIndex: 5
  }
  const options = { nodeId: n1, own, members: [], anyOf: [], accept: () => true, node, announceEveryTicks: 3 }
  return { urls: new MemberUrls({ ...options, ...more }), node }
}

function from (id: string, incarnation: string): Parameters<MemberUrls['heard']>[0] {
  return { clusterId: 'test', from: asNodeId(id), to: n1, incarnation, expectedIncarnation: 'a' }
}

/** The node's log has this member at this address by now. */
function record (node: { configuration: Configuration }, id: string, address: string): void {
  const { configuration } = node
  node.configuration = {
    ...configuration,
    members: configuration.members.map((member) => (member.id === id ? { ...member, address } : member))
  }
}

describe('the URLs at which a member is looked for', () => {
  it('are its own word, those of the options and of other members, and never the own one', () => {
    const { urls } = urlsOfN1({
      members: [{ id: 'n1', url: own }, { id: 'n2', url: 'http://option' }, { id: 'n9', url: 'http://foreign' }],
      anyOf: ['http://any', own]
    })
    expect(urls.candidates(n2)).toEqual(['http://option', 'http://old-n2', 'http://any'])
    urls.heard(from('n3', 'c'), [{ id: 'n2', url: 'http://told' }, { id: 'n3', url: 'http://new-n3' }])
    expect(urls.heard(from('n2', 'b'), [{ id: 'n2', url: 'http://new-n2' }])).toBe('http://new-n2')
    expect(urls.candidates(n2)).toEqual([
      'http://new-n2', 'http://option', 'http://old-n2', 'http://told', 'http://any'
    ])
    expect(urls.candidates(n3)).toEqual(['http://new-n3', 'http://old-n3', 'http://any'])
    expect(urls.candidates(asNodeId('n9'))).toEqual([])
  })

  it('are none while its log is not recorded: any node of its name could take its place there', () => {
    const { urls } = urlsOfN1({ members: [{ id: 'n2', url: 'http://option' }], anyOf: ['http://any'] }, { n3: 'c' })
    urls.heard(from('n3', 'c'), [{ id: 'n2', url: 'http://told' }])
    urls.heard(from('n2', 'b'), [{ id: 'n2', url: 'http://new-n2' }])
    expect(urls.candidates(n2)).toEqual([])
  })

  it('come from members by their recorded logs only, are limited in number, and are accepted one by one', () => {
    const { urls } = urlsOfN1({ accept: (url) => !url.includes('refused') })
    urls.heard(from('n3', 'another log'), [{ id: 'n2', url: 'http://told' }, { id: 'n3', url: 'http://new-n3' }])
    urls.heard(from('n9', 'z'), [{ id: 'n2', url: 'http://told' }])
    urls.heard(from('n3', 'c'), [{ id: 'n2', url: 'http://refused' }])
    expect([urls.candidates(n2), urls.candidates(n3)]).toEqual([['http://old-n2'], ['http://old-n3']])
    for (let place = 1; place <= 9; place++) urls.heard(from('n3', 'c'), [{ id: 'n2', url: `http://told-${place}` }])
    expect(urls.candidates(n2)).toEqual(['http://old-n2', ...[9, 8, 7, 6].map((place) => `http://told-${place}`)])
  })
})

describe('the URLs that a leader records', () => {
  const ownMove = { kind: 'confirm-address', id: n1, address: own }

  it('are its own by its word, and those of others once they have answered there, all in one entry', () => {
    const { urls } = urlsOfN1()
    urls.heard(from('n2', 'b'), [{ id: 'n2', url: 'http://old-n3' }, { id: 'n3', url: 'http://told' }])
    urls.heard(from('n3', 'c'), [{ id: 'n3', url: 'http://old-n2' }])
    expect(urls.unrecorded()).toEqual([ownMove])
    urls.confirmed(n3, 'http://told')
    urls.confirmed(n2, 'http://old-n3')
    expect(urls.unrecorded()).toEqual([ownMove, { kind: 'confirm-address', id: n2, address: 'http://old-n3' }])
    urls.confirmed(n3, 'http://old-n2')
    expect(urls.unrecorded()).toEqual([
      ownMove,
      { kind: 'confirm-address', id: n2, address: 'http://old-n3' },
      { kind: 'confirm-address', id: n3, address: 'http://old-n2' }
    ])
  })

  it('are not those of a member of the same name that was removed', () => {
    const { urls, node } = urlsOfN1()
    urls.heard(from('n2', 'b'), [{ id: 'n2', url: 'http://new-n2' }])
    urls.confirmed(n2, 'http://new-n2')
    const [first, , third] = node.configuration.members
    if (first === undefined || third === undefined) throw new Error('three members')
    const again = { id: n2, address: 'http://another', incarnation: 'd' }
    node.configuration = { ...node.configuration, members: [first, again, third] }
    expect(urls.unrecorded()).toEqual([ownMove])
  })

  it('do not undo a change that is made by hand later', () => {
    const { urls, node } = urlsOfN1()
    urls.heard(from('n2', 'b'), [{ id: 'n2', url: 'http://new-n2' }])
    urls.confirmed(n2, 'http://new-n2')
    record(node, 'n1', own)
    record(node, 'n2', 'http://new-n2')
    urls.tick()
    record(node, 'n1', 'http://by-hand-n1')
    record(node, 'n2', 'http://by-hand-n2')
    expect(urls.unrecorded()).toEqual([])
    expect([urls.tick(), urls.own]).toEqual([false, 'http://by-hand-n1'])
  })

  it('are announced by a node that has moved, again and again until its log says so', () => {
    const { urls, node } = urlsOfN1()
    expect([1, 2, 3, 4, 5, 6, 7].map(() => urls.tick())).toEqual([true, false, false, true, false, false, true])
    record(node, 'n1', own)
    expect([1, 2, 3].map(() => urls.tick())).toEqual([false, false, false])
  })
})

async function start (size: number): Promise<EngineCluster> {
  const cluster = new EngineCluster()
  clusters.push(cluster)
  await cluster.start(size)
  await until('all know the logs of all', () => [...cluster.nodes.values()].every(({ engine, storage }) =>
    engine.membership().isSettled && [...cluster.nodes.keys()].every((id) => storage.hasRecorded(id))
  ))
  return cluster
}

async function closeAll (cluster: EngineCluster, ids: readonly string[]): Promise<Record<string, number>> {
  const ports = Object.fromEntries(ids.map((id) => [id, Number(new URL(cluster.node(id).url).port)]))
  await Promise.all(ids.map((id) => cluster.node(id).close()))
  return ports
}

/** All nodes have these URLs in their logs, and apply what any of them proposes. */
async function healed (nodes: readonly TestNode[]): Promise<void> {
  const urls = nodes.map(({ id, url }) => ({ id, url }))
  await until('the log has the URLs', () => nodes.every(({ engine }) => {
    const members: readonly Member[] = engine.membership().members
    return engine.membership().isSettled && urls.every(({ id, url }) =>
      members.some((member) => member.id === id && member.url === url)
    )
  }), 20_000)
  for (const { id, engine } of nodes) await engine.propose(Buffer.from(`after, from ${id}`), { timeoutMs: 20_000 })
  await until('all have applied all', () => nodes.every(({ machine }) =>
    machine.journal.includes('before') && nodes.every(({ id }) => machine.journal.includes(`after, from ${id}`))
  ))
}

describe('nodes that have moved', () => {
  it('all of them find each other by the URLs of their options', async () => {
    const cluster = await start(3)
    await cluster.node('n1').engine.propose(Buffer.from('before'))
    await closeAll(cluster, ['n1', 'n2', 'n3'])
    await healed(await cluster.restartElsewhere({ n1: 0, n2: 0, n3: 0 }))
  }, 60_000)

  it('two that have swapped their addresses are found by a third one that knows nothing of it', async () => {
    const cluster = await start(3)
    await cluster.node('n1').engine.propose(Buffer.from('before'))
    const ports = await closeAll(cluster, ['n1', 'n2'])
    await healed([
      ...(await cluster.restartElsewhere({ n1: ports['n2'] ?? 0, n2: ports['n1'] ?? 0 })),
      cluster.node('n3')
    ])
  }, 60_000)

  it('are found by what a third one has heard, when no options know all', async () => {
    const cluster = await start(3)
    await cluster.node('n1').engine.propose(Buffer.from('before'))
    await closeAll(cluster, ['n1', 'n2'])
    const moved = await cluster.restartElsewhere({ n1: 0, n2: 0 }, () => [])
    await healed([...moved, cluster.node('n3')])
  }, 60_000)

  it('A25 are no others under their names: one without its log is asked for it at its new URL, and stops', async () => {
    const cluster = await start(3)
    await cluster.node('n1').engine.propose(Buffer.from('before'))
    await closeAll(cluster, ['n1', 'n2', 'n3'])
    cluster.wipe('n2')
    const moved = await cluster.restartElsewhere({ n1: 0, n2: 0, n3: 0 })
    const failure = await until('it stops', () => moved[1]?.engine.status().failure, 20_000)
    expect(failure).toMatchObject({ code: 'RAFT_WRONG_INCARNATION' })
    expect(moved[1]?.engine.status().lastIndex).toBe(0)
    await until('the two others go on', () => cluster.leaders[0], 20_000)
  }, 60_000)

  it('a learner that has moved says so, although it never campaigns', async () => {
    const cluster = await start(3)
    const leader = await until('a leader', () => cluster.leaders[0])
    await leader.engine.propose(Buffer.from('before'))
    const other = [...cluster.nodes.values()].find((node) => node !== leader)
    if (other === undefined) throw new Error('three nodes')
    await until('it is demoted', () => leader.engine.changeMembership([{ kind: 'demote', id: other.id }]))
    await until('it knows', () => other.engine.membership().members.some(({ demoted }) => demoted === true))
    await closeAll(cluster, [other.id])
    await healed([...(await cluster.restartElsewhere({ [other.id]: 0 })), leader])
  }, 60_000)

  it('never count twice: a stale URL that leads to another node makes that node no second member', async () => {
    const cluster = await start(5)
    await closeAll(cluster, ['n1', 'n2', 'n3'])
    const ports = await closeAll(cluster, ['n4', 'n5'])
    // By their options four of five members are at two nodes.
    const at = (id: string): string => `http://127.0.0.1:${ports[id] ?? 0}`
    const [n4, n5] = await cluster.restartElsewhere(ports, (id) => [
      ...['n1', 'n2', 'n3'].map((gone) => ({ id: gone, url: at(id === 'n4' ? 'n5' : 'n4') })),
      { id: 'n4', url: at('n4') },
      { id: 'n5', url: at('n5') }
    ])
    if (n4 === undefined || n5 === undefined) throw new Error('two nodes')
    await new Promise((resolve) => { setTimeout(resolve, 6 * cluster.timing.electionTimeoutMaxMs) })
    expect([n4, n5].map(({ engine }) => [engine.leader(), engine.status().role])).toEqual([
      [null, expect.not.stringMatching(/leader/)],
      [null, expect.not.stringMatching(/leader/)]
    ])
    await expect(n4.engine.propose(Buffer.from('alone'), { timeoutMs: 500 })).rejects.toThrow()
  }, 60_000)
})
