import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, expect, it, onTestFinished } from 'vitest'
import { freePorts } from '../../../src/cli/local/ports.ts'
import { AdminClient } from '../../../src/gateway/forward/admin-client.ts'
import { Joiner } from '../../../src/plugin/join/joiner.ts'
import { ClusterStateMachine } from '../../../src/plugin/replicated/cluster-state-machine.ts'
import type { Membership } from '../../../src/raft/index.ts'
import { systemClock, systemTimers } from '../../../src/raft/internal.ts'
import { FakeEngine } from '../../support/fake-engine.ts'
import { until } from '../../support/until.ts'

const applicant = { id: 'n4', url: 'http://127.0.0.1:4', clusterId: 'c' }
const nobody: Membership = { members: [], version: 0, isSettled: true }

interface Given {
  readonly nodes: readonly string[]
  readonly membership?: Membership
}

/** A joiner over an engine whose membership the test sets. */
function build ({ nodes, membership = nobody }: Given) {
  const engine = new FakeEngine(new ClusterStateMachine(), 'n4')
  let current = membership
  engine.membership = () => current
  const warnings: string[] = []
  const silent = (): void => {}
  const logger = {
    debug: silent,
    info: silent,
    error: silent,
    warn: (details: object) => {
      warnings.push(String((details as { readonly err?: unknown }).err))
    }
  }
  const client = new AdminClient()
  const joiner = new Joiner({ engine, applicant, nodes, membersPath: '/m', client, logger, clock: systemClock, timers: systemTimers })
  onTestFinished(async () => {
    await joiner.stop()
    await client.close()
  })
  return {
    engine,
    joiner,
    warnings,
    become: (role: 'voter' | 'learner') => {
      current = { members: [{ id: 'n4', url: applicant.url, role }], version: current.version + 1, isSettled: true }
      engine.events.emit('membership', current)
    }
  }
}

/** A node with given answers: status and body for each request, the last one for all later requests. */
async function node (...answers: ReadonlyArray<readonly [status: number, body: unknown]>) {
  const requests: string[] = []
  const server = createServer((req, res) => {
    const [status, body] = answers[Math.min(requests.length, answers.length - 1)] ?? [500, null]
    requests.push(`${req.method} ${req.url}`)
    req.resume()
    res.writeHead(status).end(typeof body === 'string' ? body : JSON.stringify(body))
  })
  await new Promise<void>((resolve) => { server.listen(0, '127.0.0.1', resolve) })
  onTestFinished(async () => { await new Promise((resolve) => { server.close(resolve) }) })
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, requests }
}

function membersOf (...members: readonly object[]): [number, object] {
  return [200, { clusterId: 'c', members, version: 1, isSettled: true }]
}
function membersOfCluster (clusterUuid: string | null, ...members: readonly object[]): [number, object] {
  return [200, { clusterId: 'c', clusterUuid, members, version: 1, isSettled: true }]
}
const learner = { id: 'n4', url: applicant.url, role: 'learner' }
const get = 'GET /m?read=linearizable'

describe('a joiner', () => {
  it('whose own log says that it is being removed asks the cluster, and ends once that has removed it', async () => {
    const other = { id: 'n1', url: 'http://127.0.0.1:1', role: 'voter' }
    const asked = await node(membersOf({ ...learner, role: 'leaving' }), membersOf(other))
    const leaving: Membership = {
      members: [{ id: 'n4', url: applicant.url, role: 'leaving' }], version: 3, isSettled: false
    }
    const { joiner, warnings } = build({ nodes: [asked.url], membership: leaving })
    joiner.start()
    await until('it knows', () => joiner.failure)
    expect(joiner.failure).toMatchObject({ code: 'RAFT_UNKNOWN_MEMBER' })
    expect(asked.requests).toEqual([get, get])
    expect(warnings.join()).toContain('is being removed')
  })

  it('asks to be added, then to be promoted until that succeeds, and no more', async () => {
    const asked = await node(membersOf(), [200, {}], [412, { code: 'RAFT_MEMBER_LAGGING', message: 'lags' }], [200, {}])
    const { joiner, become } = build({ nodes: [asked.url] })
    expect(joiner.isJoining).toBe(true)
    joiner.start()
    await until('it asked', () => asked.requests.length === 2)
    become('learner')
    await until('it asked again', () => asked.requests.length === 4)
    become('voter')
    await until('it is done', () => !joiner.isJoining)
    expect(asked.requests).toEqual([get, 'POST /m', 'POST /m/n4/promote', 'POST /m/n4/promote'])
  })

  it('makes no call when it is a voter in its log', async () => {
    const asked = await node([500, null])
    const { joiner } = build({
      nodes: [asked.url],
      membership: { members: [{ ...learner, role: 'voter' }], version: 7, isSettled: false }
    })
    expect(joiner.isJoining).toBe(false)
    joiner.start()
    await joiner.stop()
    expect(asked.requests).toEqual([])
  })

  it('is not added twice when the answer to the addition was lost', async () => {
    const asked = await node(
      membersOf(),
      [504, { code: 'RAFT_OUTCOME_UNKNOWN', message: 'unknown' }],
      membersOf(learner)
    )
    const { joiner, warnings } = build({ nodes: [asked.url] })
    joiner.start()
    await until('it looks on', () => asked.requests.length > 4)
    expect(asked.requests.filter((request) => request !== get)).toEqual(['POST /m'])
    expect(warnings.some((warning) => warning.includes('not reached at http://127.0.0.1:4 yet'))).toBe(true)
  })

  it('says what to do when a proxy in front of a node asks for credentials', async () => {
    const asked = await node([401, 'who are you'])
    const { joiner, warnings } = build({ nodes: [asked.url] })
    joiner.start()
    await until('it said so', () => warnings.length > 0)
    expect(warnings[0]).toContain('answered 401, which is no answer of a node: if a proxy in front of it asks')
    expect(warnings[0]).toContain('adminHeaders')
  })

  it('asks the next node after no answer or a strange answer, and logs each obstacle once', async () => {
    const [port] = await freePorts(1)
    const strange = await node([200, '<html>'])
    const moved = await node([302, ''])
    const { joiner, warnings } = build({ nodes: [`http://127.0.0.1:${port}`, strange.url, moved.url] })
    joiner.start()
    await until('all were asked twice', () => moved.requests.length >= 2)
    expect([...new Set(warnings)]).toEqual(warnings)
    expect(warnings).toHaveLength(3)
    expect(joiner.failure).toBeNull()
  })

  it.each<[string, readonly [number, object], string]>([
    ['another cluster', [200, { clusterId: 'other', members: [], version: 1 }], 'RAFT_MISDIRECTED'],
    ['another member at its address', membersOf({ ...learner, id: 'n5' }), 'RAFT_MEMBER_EXISTS'],
    ['another address of its name', membersOf({ ...learner, url: 'http://127.0.0.1:5' }), 'RAFT_MEMBER_EXISTS'],
    ['a vote that it knows nothing of', membersOf({ ...learner, role: 'voter' }), 'RAFT_MEMBER_EXISTS'],
    ['a node that answers this machine only', [403, { code: 'RAFT_UNAUTHORIZED', message: 'no' }], 'RAFT_UNAUTHORIZED'],
    ['a node that refuses its address', [400, { code: 'RAFT_INVALID_REQUEST', message: 'no' }], 'RAFT_INVALID_REQUEST']
  ])('gives up for good over %s', async (_what, answer, code) => {
    const asked = await node(answer)
    const { joiner } = build({ nodes: [asked.url] })
    joiner.start()
    await until('it is refused', () => joiner.failure !== null)
    expect(joiner.failure).toMatchObject({ code })
    expect([joiner.isJoining, asked.requests.length]).toEqual([true, 1])
  })

  it('gives up after its removal, by what the cluster says', async () => {
    const asked = await node(membersOf())
    const gone = build({ nodes: [asked.url], membership: { members: [], version: 7, isSettled: true } })
    gone.engine.belonged = true
    gone.joiner.start()
    await until('it is refused', () => gone.joiner.failure !== null)
    expect(asked.requests).toEqual([get])
    const second = await node([404, { code: 'RAFT_UNKNOWN_MEMBER', message: 'no' }], membersOf())
    const forgotten = build({
      nodes: [second.url],
      membership: { members: [learner], version: 7, isSettled: true } as Membership
    })
    forgotten.engine.belonged = true
    forgotten.joiner.start()
    await until('it is refused', () => forgotten.joiner.failure !== null)
    expect(second.requests).toEqual(['POST /m/n4/promote', get])
    for (const { joiner } of [gone, forgotten]) {
      expect(joiner.failure).toMatchObject({
        code: 'RAFT_UNKNOWN_MEMBER',
        message: expect.stringContaining('was removed') as string
      })
    }
  })

  it('gives up when it is removed while it still catches up', async () => {
    const unknown: [number, object] = [404, { code: 'RAFT_UNKNOWN_MEMBER', message: 'no' }]
    const asked = await node(membersOf(), [200, {}], unknown, membersOf(), [200, {}])
    const { joiner, engine, become } = build({ nodes: [asked.url] })
    joiner.start()
    await until('it asked', () => asked.requests.length === 2)
    engine.belonged = true
    become('learner')
    await until('it is refused', () => joiner.failure !== null || asked.requests.length > 4)
    expect(asked.requests).toEqual([get, 'POST /m', 'POST /m/n4/promote', get])
  })

  it('goes on after it was stopped while it caught up: its log has older memberships only', async () => {
    const asked = await node(membersOf({ ...learner, incarnation: 'a1' }))
    const { joiner, warnings, become } = build({
      nodes: [asked.url],
      membership: { members: [{ id: 'n1', url: asked.url, role: 'voter' }], version: 7, isSettled: true }
    })
    joiner.start()
    await until('it waits for the leader', () => warnings.some((warning) => warning.includes('not reached at')))
    become('voter')
    await until('it is done', () => !joiner.isJoining)
    expect([joiner.failure, asked.requests.filter((request) => request !== get)]).toEqual([null, []])
  })

  it('is added again when the entry that had added it was lost with its leader', async () => {
    const asked = await node(membersOf(), [200, {}])
    const { joiner } = build({
      nodes: [asked.url],
      membership: { members: [{ id: 'n1', url: asked.url, role: 'voter' }], version: 7, isSettled: false }
    })
    joiner.start()
    await until('it is added', () => asked.requests.length >= 2)
    expect([asked.requests.slice(0, 2), joiner.failure]).toEqual([[get, 'POST /m'], null])
  })

  it('tells where it is when the cluster knows its log at another URL', async () => {
    const moved = { ...learner, url: 'http://127.0.0.1:5', incarnation: 'a1' }
    const asked = await node(membersOf(moved), [200, {}], membersOf({ ...learner, incarnation: 'a1' }))
    const { joiner, warnings } = build({ nodes: [asked.url] })
    joiner.start()
    await until('it waits for the leader', () => warnings.some((warning) => warning.includes('not reached at')))
    expect(asked.requests.slice(0, 2)).toEqual([get, 'POST /m/n4/url'])
    expect(joiner.failure).toBeNull()
  })

  it('joins the first cluster that answers, and refuses another one of its name', async () => {
    const one = await node(membersOfCluster('aaa'), [200, {}], membersOfCluster('aaa', learner))
    const other = await node(membersOfCluster('bbb'))
    const { joiner, engine } = build({ nodes: [one.url, one.url, one.url, other.url] })
    joiner.start()
    await until('it knows which one', () => engine.expectedCluster === 'aaa')
    // Told by the node that it asks next, or found out by itself.
    const refusing = await node([421, { code: 'RAFT_OTHER_CLUSTER', message: 'no' }])
    for (const [nodes, reason] of [[[one.url, refusing.url], 'no'], [[one.url, one.url, other.url], 'keep the data']]) {
      const second = build({ nodes: nodes as readonly string[] })
      second.joiner.start()
      await until('it is refused', () => second.joiner.failure !== null)
      expect(second.joiner.failure).toMatchObject({
        code: 'RAFT_OTHER_CLUSTER',
        message: expect.stringContaining(reason as string) as string
      })
    }
    // One that belongs to a cluster asks on: another cluster may have taken over an address.
    const third = build({ nodes: [other.url] })
    third.engine.uuid = 'aaa'
    third.joiner.start()
    await until('it says so', () => third.warnings.length > 0)
    expect(third.warnings[0]).toContain('there are two clusters with the name "c"')
    expect(third.joiner.failure).toBeNull()
  })

  it('is added again when its addition did not take effect', async () => {
    const asked = await node(
      membersOf(),
      [200, {}],
      [404, { code: 'RAFT_UNKNOWN_MEMBER', message: 'no' }],
      membersOf(),
      [200, {}]
    )
    const { joiner, become } = build({ nodes: [asked.url] })
    joiner.start()
    await until('it asked', () => asked.requests.length === 2)
    become('learner')
    await until('it is added again', () => asked.requests.length >= 5)
    expect(asked.requests.slice(0, 5)).toEqual([get, 'POST /m', 'POST /m/n4/promote', get, 'POST /m'])
    expect(joiner.failure).toBeNull()
  })
})
