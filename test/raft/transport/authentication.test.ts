import type { IncomingMessage } from 'node:http'
import { Pool } from 'undici'
import { afterEach, describe, expect, it } from 'vitest'
import type { Message } from '../../../src/raft/core/index.ts'
import { asIndex, asNodeId, asTerm } from '../../../src/raft/core/index.ts'
import { encodeMessages } from '../../../src/raft/transport/codec.ts'
import { AuthenticatedChannel } from '../../../src/raft/transport/peer-channel.ts'
import type { SmallAnswer } from '../../../src/raft/transport/small-request.ts'
import { OutgoingSession } from '../../../src/raft/trust/outgoing-session.ts'
import type { Secret, Secrets } from '../../../src/raft/trust/secret.ts'
import { makeSecret, readSecret } from '../../../src/raft/trust/secret.ts'
import type { EngineClusterOptions, TestNode } from '../../support/engine-cluster.ts'
import { EngineCluster } from '../../support/engine-cluster.ts'
import { MemoryLogger } from '../../support/memory-logger.ts'
import { until } from '../../support/until.ts'

const cleanUps: Array<() => unknown> = []

afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0)) await cleanUp()
})

function secret (): Secret {
  const reading = readSecret(makeSecret())
  if (reading.kind === 'fault') throw new Error(reading.message)
  return reading.secret
}

function open (options: EngineClusterOptions): EngineCluster {
  const cluster = new EngineCluster(options)
  cleanUps.unshift(() => cluster.close())
  return cluster
}

async function started (secrets: Secrets): Promise<{ cluster: EngineCluster, leader: TestNode, follower: TestNode }> {
  const cluster = open({ secrets: () => secrets })
  await cluster.start(3)
  const leader = await until('a leader', () => cluster.leaders[0])
  const follower = [...cluster.nodes.values()].find((node) => node !== leader)
  if (follower === undefined) throw new Error('there are three')
  await leader.engine.propose(Buffer.from('first'))
  await until('all have applied', () => [...cluster.nodes.values()].every(({ machine }) => machine.journal.length === 1))
  return { cluster, leader, follower }
}

/** A vote request of a higher term: taken at its word, it would end the leadership. */
function deposing (from: string, target: TestNode): Buffer {
  const vote: Message = {
    kind: 'vote-request',
    from: asNodeId(from),
    to: asNodeId(target.id),
    term: asTerm(1_000),
    lastIndex: asIndex(1_000),
    lastTerm: asTerm(999),
    isTransfer: true
  }
  const { incarnation } = target.storage
  const address = { clusterId: 'test', from: vote.from, to: vote.to, incarnation: 'x', expectedIncarnation: incarnation }
  return encodeMessages(address, [vote])
}

/** Sends a body as a node with this id and this secret. */
async function sendAs (from: string, known: Secret, target: TestNode, body: Buffer): Promise<SmallAnswer | Error> {
  const pool = new Pool(target.url)
  cleanUps.unshift(() => pool.destroy())
  const secrets = { current: [known] }
  const channel = new AuthenticatedChannel({
    session: new OutgoingSession({ clusterId: 'test', from: asNodeId(from), to: asNodeId(target.id) }, secrets),
    secrets,
    nodeId: from,
    peerId: target.id,
    helloPath: '/_cluster/raft/hello',
    helloTimeoutMs: 5_000
  })
  return await new Promise((resolve) => {
    channel.send(pool, {
      path: '/_cluster/raft/control',
      body,
      timeoutMs: 5_000,
      maxAnswerBytes: 10_000,
      answered: resolve,
      failed: resolve
    })
  })
}

interface Recorded {
  readonly url: string
  readonly headers: Record<string, string>
  readonly body: Buffer
}

/** Records all that a node receives. */
function record ({ server }: TestNode): Recorded[] {
  const recorded: Recorded[] = []
  const listen = (request: IncomingMessage): void => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => { chunks.push(chunk) })
    request.on('end', () => {
      const { 'content-type': type = '', 'raft-seal': seal = '' } = request.headers
      const headers = { 'content-type': type, 'raft-seal': String(seal) }
      recorded.push({ url: request.url ?? '', headers, body: Buffer.concat(chunks) })
    })
  }
  server.prependListener('request', listen)
  cleanUps.unshift(() => server.removeListener('request', listen))
  return recorded
}

async function post (target: TestNode, { url, headers, body }: Recorded): Promise<{ status: number, code: string }> {
  const response = await fetch(new URL(url, target.url), { method: 'POST', headers, body: new Blob([new Uint8Array(body)]) })
  const text = await response.text()
  return { status: response.status, code: response.status === 200 ? '' : (JSON.parse(text) as { code: string }).code }
}

function termsOf (cluster: EngineCluster): readonly number[] {
  return [...cluster.nodes.values()].map(({ engine }) => engine.status().term)
}

describe('peers that share a secret', () => {
  it('elect, replicate and read, and do so again after a restart', async () => {
    const { cluster, leader, follower } = await started({ current: [secret()] })
    await follower.engine.propose(Buffer.from('through a follower'))
    await follower.engine.readBarrier()
    const { id } = follower
    await follower.close()
    await leader.engine.propose(Buffer.from('meanwhile'))
    const again = await cluster.restart(id)
    await until('it has caught up', () => again.machine.journal.length === 3)
    await again.engine.propose(Buffer.from('again'))
    await until('all have applied', () => leader.machine.journal.length === 4)
  })

  it('refuse what carries no seal, whatever it says', async () => {
    const { cluster, leader, follower } = await started({ current: [secret()] })
    const before = termsOf(cluster)
    for (const lane of ['control', 'append', 'propose', 'snapshot']) {
      for (const target of [leader, follower]) {
        const answer = await post(target, {
          url: `/_cluster/raft/${lane}`,
          headers: { 'content-type': 'application/octet-stream' },
          body: deposing(follower.id, target)
        })
        expect(answer).toEqual({ status: 401, code: 'RAFT_UNAUTHENTICATED' })
      }
    }
    expect(termsOf(cluster)).toEqual(before)
  })

  it('refuse a node with another secret, and one that speaks for another', async () => {
    const shared = secret()
    const { cluster, leader, follower } = await started({ current: [shared] })
    const before = termsOf(cluster)
    const stranger = await sendAs(follower.id, secret(), leader, deposing(follower.id, leader))
    expect(stranger).toMatchObject({ cause: { code: 'RAFT_OTHER_SECRET' } })
    const third = [...cluster.nodes.values()].find((node) => node !== leader && node !== follower)
    const impostor = await sendAs(third?.id ?? '', shared, leader, deposing(follower.id, leader)) as SmallAnswer
    expect([impostor.statusCode, Buffer.from(impostor.body).toString()]).toEqual([
      401, expect.stringContaining('RAFT_UNAUTHENTICATED')
    ])
    expect(termsOf(cluster)).toEqual(before)
  })

  it('refuse a recorded conversation that is played back, to the same node and to another', async () => {
    const { cluster, leader, follower } = await started({ current: [secret()] })
    const recorded = record(leader)
    // With a new session, so that the handshake is part of it.
    const { id } = follower
    await follower.close()
    const again = await cluster.restart(id)
    await again.engine.propose(Buffer.from('recorded'))
    await until('it is there', () => leader.machine.journal.length === 2)
    const kept = recorded.splice(0)
    expect(kept.filter(({ url }) => url.endsWith('/hello')).length).toBeGreaterThan(0)
    expect(kept.filter(({ url }) => url.endsWith('/propose')).length).toBeGreaterThan(0)
    for (const message of kept) {
      const back = await post(leader, message)
      const elsewhere = await post(again, message)
      if (message.url.endsWith('/hello')) {
        expect(back).toEqual({ status: 401, code: 'RAFT_UNAUTHENTICATED' })
        expect(elsewhere).toEqual({ status: 421, code: 'RAFT_MISDIRECTED' })
      } else {
        expect(back.code).toMatch(/^RAFT_(UNAUTHENTICATED|PEER_SESSION)$/)
        expect(elsewhere.code).toBe('RAFT_PEER_SESSION')
      }
    }
    expect(leader.machine.journal).toEqual(['first', 'recorded'])
    await again.engine.propose(Buffer.from('and goes on'))
  })

  it('say who has another secret', async () => {
    const [shared, other] = [secret(), secret()]
    const logger = new MemoryLogger()
    const cluster = open({ secrets: (id) => ({ current: [id === 'n3' ? other : shared] }), logger })
    await cluster.start(3)
    const leader = await until('a leader', () => cluster.leaders[0])
    expect(leader.id).not.toBe('n3')
    await leader.engine.propose(Buffer.from('two of three'))
    const lines = (message: string): string[] =>
      logger.lines.filter((line) => line.message === message).map(({ details }) =>
        'reason' in details ? String(details.reason) : '')
    await until('both sides have said so', () =>
      lines('peer has another secret').some((text) => text.includes('"n3" has another secret than')) &&
      lines('a peer was refused').some((text) => text.includes('n3') && text.includes('another secret')))
  })

  it('change the secret while writes go on', async () => {
    const [old, fresh] = [secret(), secret()]
    const current = new Map<string, readonly Secret[]>([['n1', [old]], ['n2', [old]], ['n3', [old]]])
    const cluster = open({
      secrets: (id) => ({ get current () { return current.get(id) ?? [] } })
    })
    await cluster.start(3)
    const leader = await until('a leader', () => cluster.leaders[0])
    const { term } = leader.engine.status()
    let written = 0
    const over = new AbortController()
    const writers = [...cluster.nodes.values()].map(async ({ engine }) => {
      while (!over.signal.aborted) {
        await engine.propose(Buffer.from(`write ${written}`))
        written++
      }
    })
    for (const step of [[old, fresh], [fresh, old], [fresh]]) {
      for (const id of current.keys()) {
        current.set(id, step)
        const before = written
        await until('more writes', () => written > before + 50)
      }
    }
    over.abort()
    await Promise.all(writers)
    expect(termsOf(cluster)).toEqual([term, term, term])
    expect(leader.machine.journal.length).toBe(written)
  })
})
