import Fastify from 'fastify'
import { describe, expect, it, onTestFinished } from 'vitest'
import { freePorts } from '../../../src/cli/local/ports.ts'
import { createGateway } from '../../../src/gateway/index.ts'
import type { ClusterOptions } from '../../../src/plugin/index.ts'
import { cluster } from '../../../src/plugin/index.ts'
import { gatewaySecretOf, makeSecret, readSecrets } from '../../../src/raft/trust/secret.ts'
import { MemoryLogger } from '../../support/memory-logger.ts'
import { until } from '../../support/until.ts'
import { abroad } from '../support/abroad.ts'
import type { Node } from '../support/cluster-of-three.ts'
import { agreedLeader, clusterOfThree } from '../support/cluster-of-three.ts'

interface Line { readonly msg: string, readonly code?: string, readonly reason?: string }

function logInto (lines: Line[]): { readonly write: (line: string) => void } {
  return { write: (line) => { lines.push(JSON.parse(line) as Line) } }
}

/** A copy of an application to which all others come from other machines; `lines` gets its log. */
async function start (id: string, options: ClusterOptions, lines: Line[] = []): Promise<Node> {
  const app = abroad(Fastify({ logger: { stream: logInto(lines) } }))
  onTestFinished(async () => { await app.close() })
  await app.register(cluster, { id, ...options })
  const url = options.url ?? ''
  await app.listen({ host: '127.0.0.1', port: Number(new URL(url).port) })
  return { id, app, url }
}

async function freeUrl (): Promise<string> {
  return `http://127.0.0.1:${(await freePorts(1)).join()}`
}

/** Three copies that share a secret, each on a machine of its own as far as the others can see. */
async function threeCopies (
  secret: string,
  lines: Line[] = []
): Promise<{ readonly leader: Node, readonly followers: readonly Node[] }> {
  const nodes = await clusterOfThree(async (app, options) => {
    await app.register(cluster, { ...options, secret })
    app.post('/ip', { forward: true }, async ({ ip }) => ({ ip }))
    app.get('/ip', { forward: true }, async ({ ip }) => ({ ip }))
  }, '127.0.0.1', { protocol: 'http', create: () => abroad(Fastify({ logger: { stream: logInto(lines) } })) })
  const leader = await agreedLeader(nodes)
  return { leader, followers: nodes.filter((node) => node !== leader) }
}

describe('with the secret alone, over a network', () => {
  it('a copy joins through a follower, becomes a voter, and leaves again', async () => {
    const secret = makeSecret()
    const { leader, followers } = await threeCopies(secret)
    const url = await freeUrl()
    const joined = await start('n4', { secret, join: followers.map((node) => node.url), url })
    await until('it votes', () => leader.app.cluster.membership.members.some(({ id, role }) => id === 'n4' && role === 'voter'))
    await until('it knows', () => joined.app.cluster.membership.isSettled)
    await joined.app.cluster.leave()
    await until('it has left', () => leader.app.cluster.membership.members.every(({ id }) => id !== 'n4'))
    // The same when the application closes.
    const secondUrl = await freeUrl()
    const second = await start('n5', { secret, join: [followers[0]?.url ?? ''], url: secondUrl, leaveOnClose: true })
    await until('it votes', () => second.app.cluster.membership.members.some(({ id, role }) => id === 'n5' && role === 'voter'))
    await second.app.close()
    await until('it has left', () => leader.app.cluster.membership.members.every(({ id }) => id !== 'n5'))
  })

  it('a copy with another secret does not start, and both sides say so in one clear line', async () => {
    const lines: Line[] = []
    const { followers, leader } = await threeCopies(makeSecret(), lines)
    const url = await freeUrl()
    const stranger = start('n4', { secret: makeSecret(), join: [followers[0]?.url ?? ''], url })
    await expect(stranger).rejects.toMatchObject({ code: 'RAFT_OTHER_SECRET', message: expect.stringContaining('n4') as string })
    const first = start('n1', {
      secret: makeSecret(), members: [{ id: 'n1', url }, { id: 'n2', url: leader.url }]
    })
    await expect(first).rejects.toMatchObject({ code: 'RAFT_OTHER_SECRET' })
    const refusals = lines.filter(({ msg }) => msg === 'a peer was refused')
    expect(refusals.map(({ code }) => code)).toEqual(refusals.map(() => 'RAFT_OTHER_SECRET'))
    // One for each of the two copies that were asked.
    expect(refusals).toHaveLength(2)
    expect(refusals[0]?.reason).toMatch(/"n4" has another secret than "n\d"/)
  })

  it('a copy whose cluster has no secret believes no answer of it', async () => {
    const nodes = await clusterOfThree(async (app, options) => { await app.register(cluster, options) })
    const lines: Line[] = []
    const url = await freeUrl()
    const joiner = await start('n4', { secret: makeSecret(), join: nodes.map((node) => node.url), url }, lines)
    await until('it says so', () => lines.some(({ msg }) => msg === 'not a voter of the cluster yet'))
    expect(JSON.stringify(lines.find(({ msg }) => msg === 'not a voter of the cluster yet')))
      .toContain('without a proof that it has the secret')
    expect(joiner.app.cluster.membership.members).toEqual([])
    expect((await agreedLeader(nodes)).app.cluster.membership.members).toHaveLength(3)
  })

  it('a gateway with the secret made for it finds the leader, and the copies see its clients', async () => {
    const secret = makeSecret()
    const { leader, followers } = await threeCopies(secret)
    const reading = readSecrets([secret])
    if (reading.kind === 'faults') throw new Error('it is one')
    const ofGateway = reading.current.map(gatewaySecretOf)
    const nodes = [leader, ...followers].map(({ url }) => url)
    const open = async (text: readonly string[], logger = new MemoryLogger()): Promise<{
      readonly url: string
      readonly logger: MemoryLogger
      readonly knowsLeader: () => boolean
      readonly isWatching: () => boolean
    }> => {
      const gateway = createGateway({ nodes, pollMs: 20, logger, ...(text.length === 0 ? {} : { secret: text }) })
      onTestFinished(async () => { await gateway.close() })
      const { url } = await gateway.listen({ port: 0 })
      return {
        url,
        logger,
        knowsLeader: () => gateway.status().leader !== null,
        isWatching: () => gateway.status().nodes.every(({ isWatched }) => isWatched)
      }
    }
    const { url, knowsLeader, isWatching } = await open(ofGateway)
    await until('it knows the leader', knowsLeader)
    await until('all tell it of changes', isWatching)
    for (const method of ['POST', 'GET', 'GET', 'GET', 'POST']) {
      const answer = await fetch(`${url}/ip`, { method })
      expect([answer.status, await answer.json()]).toEqual([200, { ip: '127.0.0.1' }])
    }
    for (const wrong of [[`gateway:${makeSecret()}`], []]) {
      const { logger, knowsLeader: knows, isWatching: watches } = await open(wrong)
      await until('it has asked all', () => logger.messages('warn').length >= 3)
      expect([knows(), watches()]).toEqual([false, false])
      expect(logger.messages('warn')[0]).toMatch(wrong.length === 0 ? /nothing proves who asks: .*--for gateway/ : /another secret than this/)
    }
    // What it holds opens no session with a node.
    const [text = ''] = ofGateway
    expect(readSecrets([text]).kind).toBe('faults')
    expect(() => createGateway({ nodes, secret })).toThrow(/is that of the nodes/)
  })
})
