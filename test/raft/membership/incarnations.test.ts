import { afterEach, describe, expect, it } from 'vitest'
import type { Configuration, Message } from '../../../src/raft/core/index.ts'
import { asIndex, asNodeId, asTerm, stableConfiguration } from '../../../src/raft/core/index.ts'
import { Incarnations } from '../../../src/raft/membership/incarnations.ts'
import type { TestNode } from '../../support/engine-cluster.ts'
import { EngineCluster } from '../../support/engine-cluster.ts'
import { MemoryLogger } from '../../support/memory-logger.ts'
import { until } from '../../support/until.ts'

const clusters: EngineCluster[] = []

afterEach(async () => { for (const cluster of clusters.splice(0)) await cluster.close() })

async function start (size: number, opened = size): Promise<EngineCluster> {
  const cluster = new EngineCluster()
  clusters.push(cluster)
  await cluster.start(size, opened)
  return cluster
}

function leaderOf (cluster: EngineCluster): Promise<TestNode> {
  return until('a leader', () => cluster.leaders[0])
}

/**
 * All running nodes have the same completed membership from the log, and it records the incarnations of all of them.
 */
async function agreed (cluster: EngineCluster): Promise<TestNode> {
  return await until('all agree on the membership', () => {
    const nodes = [...cluster.nodes.values()]
    const version = nodes[0]?.engine.membership().version ?? 0
    const agree = nodes.every(
      ({ engine, storage }) =>
        engine.membership().version === version &&
        engine.membership().isSettled &&
        nodes.every(({ id }) => storage.hasRecorded(id))
    )
    return agree ? cluster.leaders[0] : null
  })
}

async function electionTimeouts (cluster: EngineCluster, count: number): Promise<void> {
  await new Promise((resolve) => { setTimeout(resolve, count * cluster.timing.electionTimeoutMaxMs) })
}

function followersOf (cluster: EngineCluster, leader: TestNode): readonly TestNode[] {
  return [...cluster.nodes.values()].filter((node) => node !== leader)
}

describe('a wiped node under its old id', () => {
  it('A25 a wiped node coming back under its old id neither votes nor acknowledges: no acknowledged write is lost, and it stops with the way out', async () => {
    const cluster = await start(3)
    const leader = await agreed(cluster)
    const [wiped, behind] = followersOf(cluster, leader)
    if (wiped === undefined || behind === undefined) throw new Error('three nodes')
    await behind.close()
    await leader.engine.propose(Buffer.from('acknowledged'))
    await wiped.close()
    await leader.close()
    cluster.wipe(wiped.id)
    const anew = await cluster.restart(wiped.id)
    const late = await cluster.restart(behind.id)
    const failure = await until('it stops', () => anew.engine.status().failure)
    expect(failure).toMatchObject({
      code: 'RAFT_WRONG_INCARNATION',
      message: expect.stringContaining('remove the member and start this node with join') as string
    })
    // Together they would be a majority, and neither holds the write.
    await electionTimeouts(cluster, 3)
    expect(cluster.leaders).toEqual([])
    expect([anew.machine.journal, anew.engine.status().lastIndex]).toEqual([[], 0])
    const back = await cluster.restart(leader.id)
    await until('a leader', () => cluster.leaders[0])
    await until('both have it', () => [back, late].every(({ machine }) => machine.journal.includes('acknowledged')))
  }, 30_000)

  it('is ignored while its leader lives, and is a member again under the same id after a removal', async () => {
    const cluster = await start(3)
    const leader = await agreed(cluster)
    const [wiped, other] = followersOf(cluster, leader)
    if (wiped === undefined || other === undefined) throw new Error('three nodes')
    await wiped.close()
    cluster.wipe(wiped.id)
    const anew = await cluster.restart(wiped.id)
    await until('it stops', () => anew.engine.status().failure)
    await anew.close()
    await other.close()
    // Only the leader is left of the members that count.
    await expect(leader.engine.propose(Buffer.from('alone'), { timeoutMs: 600 })).rejects.toMatchObject({
      code: expect.stringMatching(/RAFT_(OUTCOME_UNKNOWN|NO_LEADER)/) as string
    })
    await cluster.restart(other.id)
    await until(
      'it is removed',
      async () => await (await leaderOf(cluster)).engine.changeMembership([{ kind: 'remove', id: wiped.id }])
    )
    const joiner = await cluster.startJoiner(wiped.id)
    await until(
      'it is added',
      async () =>
        await (
          await leaderOf(cluster)
        ).engine.changeMembership([{ kind: 'add-learner', id: wiped.id, url: joiner.url }])
    )
    await until(
      'it votes',
      async () => await (await leaderOf(cluster)).engine.changeMembership([{ kind: 'promote', id: wiped.id }])
    )
    await until('it takes part', () =>
      joiner.engine.membership().members.some(({ id, role }) => id === wiped.id && role === 'voter')
    )
    await joiner.engine.propose(Buffer.from('from the new one'))
    expect(joiner.engine.status().failure).toBeNull()
  }, 30_000)

  it('added without an incarnation, it is known by its first log before it can vote', async () => {
    const cluster = await start(3)
    await agreed(cluster)
    const joiner = await cluster.startJoiner('n4')
    await until(
      'it is added',
      async () =>
        await (await leaderOf(cluster)).engine.changeMembership([{ kind: 'add-learner', id: 'n4', url: joiner.url }])
    )
    await until(
      'it votes',
      async () => await (await leaderOf(cluster)).engine.changeMembership([{ kind: 'promote', id: 'n4' }])
    )
    await joiner.close()
    const other = await cluster.startJoiner('n4')
    await until(
      'it is at the address of the first',
      async () =>
        await (await leaderOf(cluster)).engine.changeMembership([{ kind: 'set-url', id: 'n4', url: other.url }])
    )
    await electionTimeouts(cluster, 2)
    // It accepts nothing: all messages expect another incarnation.
    expect(other.engine.status()).toMatchObject({ lastIndex: 0, term: 0, leader: null })
  }, 30_000)

  it('removed and added by hand under one leader, it is known by its new log and can be promoted', async () => {
    const cluster = await start(3)
    const leader = await agreed(cluster)
    const changed = (...changes: Parameters<TestNode['engine']['changeMembership']>[0]) =>
      until(`the change ${JSON.stringify(changes)}`, async () => {
        expect(cluster.leaders).toEqual([leader])
        return await leader.engine.changeMembership(changes)
      })
    const incarnationOf = () => leader.engine.membership().members.find(({ id }) => id === 'n4')?.incarnation
    const first = await cluster.startJoiner('n4')
    await changed({ kind: 'add-learner', id: 'n4', url: first.url })
    await until('its log is recorded', () => incarnationOf() === first.storage.incarnation)
    await changed({ kind: 'remove', id: 'n4' })
    await first.close()
    const second = await cluster.startJoiner('n4')
    await changed({ kind: 'add-learner', id: 'n4', url: second.url })
    await changed({ kind: 'promote', id: 'n4' })
    expect(incarnationOf()).toBe(second.storage.incarnation)
  }, 30_000)

  it('added with an incarnation, only a node with that one is accepted', async () => {
    const cluster = await start(3)
    await agreed(cluster)
    const joiner = await cluster.startJoiner('n4')
    const incarnation = 'ffffffffffffffff'
    await until(
      'another is added',
      async () =>
        await (
          await leaderOf(cluster)
        ).engine.changeMembership([{ kind: 'add-learner', id: 'n4', url: joiner.url, incarnation }])
    )
    await electionTimeouts(cluster, 2)
    expect(joiner.engine.status()).toMatchObject({ lastIndex: 0, term: 0, leader: null })
    await expect(
      (await leaderOf(cluster)).engine.changeMembership([{ kind: 'promote', id: 'n4' }])
    ).rejects.toMatchObject({ code: 'RAFT_MEMBER_LAGGING' })
  }, 30_000)
})

describe('a node that was not wiped', () => {
  it('is accepted at a late first start, and known by its log from then on', async () => {
    const cluster = await start(3, 2)
    const leader = await agreed(cluster)
    const { version } = leader.engine.membership()
    await leader.engine.propose(Buffer.from('before'))
    const late = await cluster.restart('n3')
    await until('it has caught up', () => late.machine.journal.includes('before'))
    await until(
      'its log is written down',
      () => leader.engine.membership().version > version || cluster.leaders[0] !== leader
    )
    await agreed(cluster)
    await late.close()
    cluster.wipe('n3')
    const wiped = await cluster.restart('n3')
    expect(await until('it stops', () => wiped.engine.status().failure)).toMatchObject({
      code: 'RAFT_WRONG_INCARNATION'
    })
  }, 30_000)

  it('comes back with its log any number of times', async () => {
    const cluster = await start(3)
    for (let round = 0; round < 3; round++) {
      const leader = await agreed(cluster)
      await leader.close()
      const again = await cluster.restart(leader.id)
      await until('it follows or leads', () => again.engine.leader())
      await again.engine.propose(Buffer.from(`round ${round}`))
    }
    expect([...cluster.nodes.values()].map(({ engine }) => engine.status().failure)).toEqual([null, null, null])
  }, 30_000)
})

describe('a node whose log its leader contradicts', () => {
  it('stops with a clear reason instead of answering reads', async () => {
    const cluster = await start(3)
    const leader = await agreed(cluster)
    for (let number = 0; number < 5; number++) await leader.engine.propose(Buffer.from(`w${number}`))
    const [lossy] = followersOf(cluster, leader)
    if (lossy === undefined) throw new Error('three nodes')
    await until('it has applied all', () => lossy.machine.journal.length === 5)
    await lossy.close()
    await cluster.forget(lossy.id, 3)
    const back = await cluster.restart(lossy.id)
    const failure = await until('it stops', () => back.engine.status().failure)
    expect(failure).toMatchObject({
      code: 'RAFT_LOG_CONTRADICTED',
      message: expect.stringContaining('this node has lost entries it confirmed') as string
    })
    await expect(back.engine.readBarrier()).rejects.toMatchObject({ code: 'RAFT_STOPPED' })
    await leader.engine.propose(Buffer.from('the others go on'))
  }, 30_000)
})

describe('incarnations', () => {
  const n4 = asNodeId('n4')
  const unauthorized = expect.objectContaining({ code: 'RAFT_UNAUTHORIZED', statusCode: 403 }) as Error
  const n1 = asNodeId('n1')
  const n2 = asNodeId('n2')
  const envelope = { from: n2, to: n1, term: asTerm(7) }
  const heartbeat: Message = { ...envelope, kind: 'heartbeat-request', commit: asIndex(0), round: 1 }
  const vote: Message = {
    ...envelope,
    kind: 'vote-request',
    lastIndex: asIndex(1),
    lastTerm: asTerm(1),
    isTransfer: false
  }
  const address = { clusterId: 'c', from: n2, to: n1, incarnation: 'b', expectedIncarnation: '' }
  const wrong = expect.objectContaining({ code: 'RAFT_WRONG_INCARNATION', statusCode: 421 }) as Error

  const build = (
    recorded: string,
    isLeader = true,
    own = '',
    configurationIndex = 1,
    contact: { readonly leader: typeof n1, readonly isInContact: boolean } | null = null
  ) => {
    const seed = stableConfiguration([{ id: n1, address: '' }, { id: n2, address: '' }])
    let configuration: Configuration = {
      ...seed,
      members: seed.members.map((member) => ({ ...member, incarnation: member.id === n2 ? recorded : own }))
    }
    const earlier: Configuration[] = []
    const logger = new MemoryLogger()
    const addressed: boolean[] = []
    const incarnations = new Incarnations({
      nodeId: n1,
      own: 'a',
      node: {
        get configuration () { return configuration },
        get possibleConfigurations () { return [...earlier, configuration] },
        configurationIndex,
        view: { role: isLeader ? 'leader' : 'follower', term: asTerm(1), leader: contact?.leader ?? null },
        isInContact: contact?.isInContact ?? isLeader
      },
      lostLog: { addressed: (isForThisLog) => { addressed.push(isForThisLog) } },
      logger
    })
    const change = (next: Configuration, isCommitted = true) => {
      earlier.splice(0, isCommitted ? Infinity : 0, ...isCommitted ? [] : [configuration])
      configuration = next
    }
    return { incarnations, logger, addressed, change }
  }

  it('record the first incarnation that answers a leader, and refuse any other from then on', () => {
    const { incarnations } = build('')
    incarnations.checkAnswer(address)
    expect(incarnations.unrecorded()).toEqual([
      { kind: 'set-incarnation', id: n1, incarnation: 'a' },
      { kind: 'set-incarnation', id: n2, incarnation: 'b' }
    ])
    expect(() => { incarnations.checkAnswer({ ...address, incarnation: 'c' }) }).toThrow(wrong)
    incarnations.roleChanged()
    expect(incarnations.of(n2)).toBe('')
  })

  it('are forgotten with the member: another node under its id is known by its own log', () => {
    const { incarnations, change, logger } = build('')
    incarnations.checkAnswer(address)
    expect(() => { incarnations.checkAnswer({ ...address, incarnation: 'c' }) }).toThrow(wrong)
    const both = stableConfiguration([{ id: n1, address: '' }, { id: n2, address: '' }])
    change(stableConfiguration([{ id: n1, address: '' }]))
    incarnations.membersChanged()
    change(both)
    incarnations.membersChanged()
    expect([incarnations.of(n2), incarnations.unrecorded()]).toEqual([
      '',
      [{ kind: 'set-incarnation', id: n1, incarnation: 'a' }]
    ])
    incarnations.checkAnswer({ ...address, incarnation: 'c' })
    expect(() => { incarnations.checkAnswer(address) }).toThrow(wrong)
    // Each of the two is told of once.
    expect(logger.messages('error')).toHaveLength(2)
  })

  it('are not recorded from answers to a follower', () => {
    const { incarnations } = build('', false)
    incarnations.checkAnswer(address)
    expect(incarnations.of(n2)).toBe('')
  })

  it('accept messages of a leader with another incarnation: this node may be behind and learns the members from it', () => {
    const { incarnations } = build('an earlier one')
    incarnations.checkRequest(address, [heartbeat])
    expect(() => {
      incarnations.checkRequest(address, [vote])
    }).toThrow(wrong)
    expect(() => {
      incarnations.checkRequest(address, [heartbeat, vote])
    }).toThrow(wrong)
    expect(() => {
      incarnations.checkRequest(address, [])
    }).toThrow(wrong)
  })

  it('accept a leader with another incarnation only if it names this log, once the members know it', () => {
    const { incarnations } = build('an earlier one', false, 'a')
    incarnations.checkRequest({ ...address, expectedIncarnation: 'a' }, [heartbeat])
    expect(() => { incarnations.checkRequest(address, [heartbeat]) }).toThrow(wrong)
  })

  it('refuse strangers, and accept members that this node has not heard of: those name its log', () => {
    const { incarnations } = build('b', false, 'a')
    const stranger = { ...address, from: n4 }
    for (const content of [[], [vote], [heartbeat], 'snapshot'] as const) {
      expect(() => { incarnations.checkRequest(stranger, content) }).toThrow(unauthorized)
      incarnations.checkRequest({ ...stranger, expectedIncarnation: 'a' }, content)
    }
  })

  it('C4 refuse a removed member that names this log, as long as a member is known to lead', () => {
    const content = [[], [vote], [heartbeat], 'snapshot'] as const
    const removed = { ...address, from: n4, expectedIncarnation: 'a' }
    const lastOne = { ...address, incarnation: 'an earlier one', expectedIncarnation: 'a' }
    const following = build('b', false, 'a', 1, { leader: n2, isInContact: true })
    for (const { incarnations } of [build('b', true, 'a'), following]) {
      for (const messages of content) {
        expect(() => { incarnations.checkRequest(removed, messages) }).toThrow(unauthorized)
        expect(() => { incarnations.checkRequest(lastOne, messages) }).toThrow(wrong)
        incarnations.checkRequest({ ...address, expectedIncarnation: 'a' }, messages)
      }
    }
    const outOfContact = build('b', false, 'a', 1, { leader: n2, isInContact: false })
    const ledByNewer = build('b', false, 'a', 1, { leader: n4, isInContact: true })
    for (const { incarnations } of [outOfContact, ledByNewer]) {
      for (const messages of content) incarnations.checkRequest(removed, messages)
      incarnations.checkRequest(lastOne, [heartbeat])
    }
  })

  it('accept a member that is being removed until its removal is committed', () => {
    const { incarnations, change } = build('b', false, 'a')
    const alone = stableConfiguration([{ id: n1, address: '' }])
    const without = { ...alone, members: alone.members.map((member) => ({ ...member, incarnation: 'a' })) }
    change(without, false)
    for (const content of [[vote], [heartbeat]] as const) incarnations.checkRequest(address, content)
    change(without)
    for (const content of [[vote], [heartbeat]] as const) {
      expect(() => { incarnations.checkRequest(address, content) }).toThrow(unauthorized)
    }
  })

  it('of a first member that never ran: strangers are refused until another first member has answered', () => {
    const { incarnations } = build('', false, '', 0)
    const stranger = { ...address, from: n4, incarnation: 'd' }
    incarnations.checkRequest(address, [vote])
    expect(() => { incarnations.checkRequest(stranger, [heartbeat]) }).toThrow(unauthorized)
    incarnations.checkAnswer(address)
    // The members may have changed meanwhile, and only the new leader can tell.
    incarnations.checkRequest(stranger, [heartbeat])
  })

  it('of a node that waits to be added: a leader that no configuration here names is accepted', () => {
    const { incarnations, change } = build('', false, '', 0)
    change(stableConfiguration([]))
    incarnations.checkRequest({ ...address, from: n4 }, [heartbeat])
  })

  it('log the refusals of strangers once for each, and of no more than a hundred', () => {
    const { incarnations, logger } = build('b', false, 'a')
    for (let number = 0; number < 500; number++) {
      const stranger = { ...address, from: asNodeId(`x${number % 250}`) }
      expect(() => { incarnations.checkRequest(stranger, [vote]) }).toThrow(unauthorized)
    }
    expect(logger.messages('warn')).toHaveLength(100)
  })

  it('log a refusal once for each peer, after any number of attempts', () => {
    const { incarnations, logger } = build('an earlier one')
    for (let attempt = 0; attempt < 5; attempt++) {
      expect(() => { incarnations.checkRequest(address, [vote]) }).toThrow(wrong)
    }
    expect(logger.messages('error')).toHaveLength(1)
  })

  it('refuse a request for another log of this node, and report only requests that expect an incarnation', () => {
    const { incarnations, addressed } = build('b')
    expect(() => {
      incarnations.checkRequest({ ...address, expectedIncarnation: 'z' }, [heartbeat])
    }).toThrow(wrong)
    incarnations.checkRequest({ ...address, expectedIncarnation: 'a' }, [vote])
    incarnations.checkRequest(address, [vote])
    expect(addressed).toEqual([false, true])
  })
})
