import { afterEach, describe, expect, it } from 'vitest'
import type { TestNode } from '../../support/engine-cluster.ts'
import { EngineCluster } from '../../support/engine-cluster.ts'
import { until } from '../../support/until.ts'

const clusters: EngineCluster[] = []

async function start (size: number) {
  const cluster = new EngineCluster()
  clusters.push(cluster)
  await cluster.start(size)
  return { cluster, leader: await until('a leader', () => cluster.leaders[0]) }
}

function leaderOf (cluster: EngineCluster) {
  return until('a leader', () => cluster.leaders[0])
}

/** Runs a change on the leader, and again when leadership moves or the node has to catch up first. */
function change (cluster: EngineCluster, ...changes: Parameters<TestNode['engine']['changeMembership']>[0]) {
  return until(`the change ${JSON.stringify(changes)}`, async () => {
    const leader = await leaderOf(cluster)
    return await leader.engine.changeMembership(changes)
  })
}

afterEach(async () => { for (const cluster of clusters.splice(0)) await cluster.close() })

describe('membership', () => {
  it('A19: is written to the log by the first leader, so that the log wins over later options', async () => {
    const { cluster, leader } = await start(3)
    const membership = await until('a settled membership in the log', () => {
      const { isSettled, version } = leader.engine.membership()
      return isSettled && version > 0 ? leader.engine.membership() : null
    })
    expect(membership.members.map(({ id, role }) => [id, role])).toEqual([
      ['n1', 'voter'],
      ['n2', 'voter'],
      ['n3', 'voter']
    ])
    // The leader records an incarnation when it learns it later, so the version may have risen.
    await until('all know it', () => {
      const { version } = leader.engine.membership()
      return (
        version >= membership.version &&
        [...cluster.nodes.values()].every((node) => node.engine.membership().version === version)
      )
    })
  })

  it('grows from 3 to 5 and shrinks to 3 others while writes go on, losing and repeating no command', async () => {
    const { cluster } = await start(3)
    const acknowledged: string[] = []
    const writing = { goesOn: true }
    const writer = (async () => {
      for (let number = 0; writing.goesOn; number++) {
        const nodes = [...cluster.nodes.values()].filter((node) => node.engine.leader() !== null)
        const node = nodes[number % Math.max(1, nodes.length)]
        if (node === undefined) {
          await new Promise((resolve) => setTimeout(resolve, 5))
          continue
        }
        try {
          await node.engine.propose(Buffer.from(`w${number}`), { timeoutMs: 5_000 })
          acknowledged.push(`w${number}`)
        } catch (error) {
          // A node that was removed or closed says so; its command may or may not have been applied, once.
          expect(error).toMatchObject({
            code: expect.stringMatching(/RAFT_(NO_LEADER|OUTCOME_UNKNOWN|STOPPED)/) as string
          })
        }
      }
    })()
    for (const id of ['n4', 'n5']) {
      const joiner = await cluster.startJoiner(id)
      await change(cluster, { kind: 'add-learner', id, url: joiner.url })
      await change(cluster, { kind: 'promote', id })
    }
    expect((await leaderOf(cluster)).engine.membership().members).toHaveLength(5)
    for (const id of ['n1', 'n2']) {
      await change(cluster, { kind: 'remove', id })
      await until('somebody else leads', () => cluster.leaders.some((node) => node.id !== id))
      await cluster.nodes.get(id)?.close()
    }
    const before = acknowledged.length
    await until('writes go on with the three that are left', () => acknowledged.length > before + 50)
    writing.goesOn = false
    await writer
    const nodes = ['n3', 'n4', 'n5'].map((id) => cluster.node(id))
    await until('all have applied the same', () => new Set(nodes.map((node) => node.machine.journal.length)).size === 1)
    for (const { machine } of nodes) {
      expect(machine.journal).toEqual(nodes[0]?.machine.journal)
      expect(new Set(machine.journal).size).toBe(machine.journal.length)
      expect(acknowledged.filter((text) => !machine.journal.includes(text))).toEqual([])
    }
    expect((await leaderOf(cluster)).engine.membership().members.map(({ id }) => id).sort()).toEqual(['n3', 'n4', 'n5'])
  }, 60_000)

  it('refuses invalid changes with a code, and changes nothing', async () => {
    const { cluster, leader } = await start(3)
    const { version } = await until('a settled membership', () => {
      const membership = leader.engine.membership()
      return membership.isSettled && membership.version > 0 ? membership : null
    })
    const url = 'http://127.0.0.1:9'
    const follower = [...cluster.nodes.values()].find((node) => node !== leader)
    const refused = async (code: string, ...changes: Parameters<TestNode['engine']['changeMembership']>[0]) => {
      await expect(leader.engine.changeMembership(changes)).rejects.toMatchObject({ code })
    }
    await refused('RAFT_MEMBER_EXISTS', { kind: 'add-learner', id: 'n1', url })
    await refused('RAFT_MEMBER_EXISTS', { kind: 'add-learner', id: 'n9', url: leader.url })
    await refused('RAFT_UNKNOWN_MEMBER', { kind: 'remove', id: 'n9' })
    await refused('RAFT_UNKNOWN_MEMBER', { kind: 'promote', id: 'n9' })
    await refused('RAFT_MEMBER_ROLE', { kind: 'promote', id: 'n2' })
    await expect(
      leader.engine.changeMembership([{ kind: 'remove', id: 'n2' }], { ifVersion: version + 1 })
    ).rejects.toMatchObject({ code: 'RAFT_VERSION_MISMATCH' })
    await expect(follower?.engine.changeMembership([{ kind: 'remove', id: 'n2' }])).rejects.toMatchObject({
      code: 'RAFT_NOT_LEADER'
    })
    // A learner that nobody can reach never becomes a voter.
    await leader.engine.changeMembership([{ kind: 'add-learner', id: 'n9', url }])
    await refused('RAFT_MEMBER_LAGGING', { kind: 'promote', id: 'n9' })
    await leader.engine.changeMembership([{ kind: 'remove', id: 'n9' }])
    expect(leader.engine.membership().members.map(({ id }) => id)).toEqual(['n1', 'n2', 'n3'])
  })

  it('refuses to remove a voter when too few of the others are within reach', async () => {
    const { cluster, leader } = await start(3)
    const [gone, other] = [...cluster.nodes.values()].filter((node) => node !== leader)
    await gone?.close()
    await leader.engine.propose(Buffer.from('notices'))
    await until('the risk is seen', () =>
      leader.engine.changeMembership([{ kind: 'remove', id: other?.id ?? '' }]).then(
        () => {
          throw new Error('removed all but one of two')
        },
        (error: unknown) => (error as { code: string }).code === 'RAFT_QUORUM_AT_RISK'
      )
    )
    // The dead voter may be removed.
    const membership = await leader.engine.changeMembership([{ kind: 'remove', id: gone?.id ?? '' }])
    expect(membership.members).toHaveLength(2)
  })

  it('lets a leader remove itself, and another node leads', async () => {
    const { cluster, leader } = await start(3)
    const token = leader.engine.currentLeadership()?.token ?? 0
    await change(cluster, { kind: 'remove', id: leader.id })
    const next = await until('another leads', () => cluster.leaders.find((node) => node !== leader))
    expect(next.engine.currentLeadership()?.token).toBeGreaterThan(token)
    expect(leader.engine.currentLeadership()).toBeNull()
    await next.engine.propose(Buffer.from('goes on'))
    expect(next.engine.membership().members.map(({ id }) => id)).not.toContain(leader.id)
  })
})
