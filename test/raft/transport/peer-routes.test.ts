import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { request as httpRequest } from 'node:http'
import { text } from 'node:stream/consumers'
import { afterEach, describe, expect, it } from 'vitest'
import type { Message } from '../../../src/raft/core/index.ts'
import { asIndex, asNodeId, asTerm } from '../../../src/raft/core/index.ts'
import type { CommandEnvelope } from '../../../src/raft/state/command-envelope.ts'
import { encodeEnvelope } from '../../../src/raft/state/command-envelope.ts'
import { decodeUrls, encodeCommands, encodeMessages, encodeUrls } from '../../../src/raft/transport/codec.ts'
import { peerLimits } from '../../../src/raft/transport/peer-limits.ts'
import { makeSecret, readSecret } from '../../../src/raft/trust/secret.ts'
import { EngineCluster } from '../../support/engine-cluster.ts'
import { until } from '../../support/until.ts'

let cluster = new EngineCluster()

afterEach(async () => {
  await cluster.close()
  cluster = new EngineCluster()
})

async function post (
  url: string,
  body: Uint8Array,
  contentType = 'application/octet-stream',
  headers: Record<string, string> = {}
) {
  const response = await fetch(url, {
    method: 'POST',
    body: new Blob([Uint8Array.from(body)]),
    headers: { 'content-type': contentType, ...headers }
  })
  return { status: response.status, body: await response.text() }
}

describe('peer routes', () => {
  it('answer 4xx to everything that is not a message of a member, and change nothing', async () => {
    await cluster.start(3)
    const leader = await until('a leader', () => cluster.leaders[0])
    await leader.engine.propose(Buffer.from('kept'))
    const target = [...cluster.nodes.values()].find((node) => node !== leader)
    const base = `${target?.url}/_cluster/raft`
    const from = asNodeId(leader.id)
    const to = asNodeId(target?.id ?? '')
    const { term } = leader.engine.status()
    const envelope = { from, to, term: asTerm(term) }
    const heartbeat: Message = { ...envelope, kind: 'heartbeat-request', commit: asIndex(0), round: 1 }
    const incarnation = leader.storage.incarnation
    await until('the follower has applied, and knows by which log the leader is known', () =>
      target?.machine.journal.length === 1 && (target.engine.membership().version > 0))
    const uuid = await until('it knows its cluster', () => target?.engine.clusterUuid())
    const address = {
      clusterId: 'test',
      from,
      to,
      incarnation,
      expectedIncarnation: target?.storage.incarnation ?? '',
      cluster: { uuid, isCommitted: true }
    }
    const good = encodeMessages(address, [heartbeat])

    const refused = [
      { status: 400, body: Buffer.from('no message at all') },
      { status: 400, body: good.subarray(0, good.byteLength - 1) },
      { status: 400, body: Buffer.alloc(0) },
      { status: 421, body: encodeMessages({ ...address, clusterId: 'other' }, [heartbeat]) },
      { status: 421, body: encodeMessages({ ...address, to: from }, [{ ...heartbeat, to: from }]) },
      // Of another cluster of that name, for certain or perhaps, and of a node that knows none.
      { status: 421, body: encodeMessages({ ...address, cluster: { uuid: 'x', isCommitted: true } }, [heartbeat]) },
      { status: 421, body: encodeMessages({ ...address, cluster: { uuid: 'x', isCommitted: false } }, [heartbeat]) },
      { status: 421, body: encodeMessages({ ...address, cluster: undefined }, [heartbeat]) },
      // For an earlier log of this node, or of a node that came back without its log.
      { status: 421, body: encodeMessages({ ...address, expectedIncarnation: 'ffffffffffffffff' }, [heartbeat]) },
      {
        status: 421,
        body: encodeMessages({ ...address, incarnation: 'ffffffffffffffff' }, [
          { ...envelope, kind: 'read-request', context: 1 }
        ])
      },
      {
        status: 421,
        body: encodeMessages({ ...address, incarnation: 'ffffffffffffffff' }, [
          heartbeat,
          {
            ...envelope,
            kind: 'append-response',
            prevIndex: asIndex(0),
            result: { kind: 'accepted', matchIndex: asIndex(1) }
          }
        ])
      },
      // A second leader in one term, which knows the log as a member of before does.
      { status: 403, body: encodeMessages({ ...address, from: asNodeId('stranger') }, [heartbeat]) },
      // A node that is no member, and knows no log; one that takes the name of the leader.
      {
        status: 403,
        body: encodeMessages({ ...address, from: asNodeId('stranger'), expectedIncarnation: '' }, [heartbeat])
      },
      {
        status: 421,
        body: encodeMessages({ ...address, incarnation: 'ffffffffffffffff', expectedIncarnation: '' }, [heartbeat])
      },
      // A commit index beyond the log, an append with a gap, one that would replace what is committed.
      { status: 400, body: encodeMessages(address, [{ ...heartbeat, commit: asIndex(2 ** 40) }]) },
      {
        status: 400,
        body: encodeMessages(address, [
          {
            ...envelope,
            kind: 'append-request',
            prevIndex: asIndex(0),
            prevTerm: asTerm(0),
            commit: asIndex(0),
            entries: [{ kind: 'noop', index: asIndex(9), term: asTerm(1), timeMs: 0 }]
          }
        ])
      },
      {
        status: 400,
        body: encodeMessages(address, [
          {
            ...envelope,
            kind: 'append-request',
            prevIndex: asIndex(0),
            prevTerm: asTerm(0),
            commit: asIndex(1),
            entries: [{ kind: 'noop', index: asIndex(1), term: asTerm(0), timeMs: 0 }]
          }
        ])
      }
    ]
    for (const { status, body } of refused) expect((await post(`${base}/append`, body)).status).toBe(status)
    expect((await post(`${base}/append`, good, 'application/json')).status).toBe(415)
    for (const name of ['X-Forwarded-For', 'x-forwarded-proto', 'Forwarded', 'Via', 'X-Real-IP']) {
      const passedOn = await post(`${base}/append`, good, undefined, { [name]: 'for=192.0.2.1' })
      expect([name, passedOn.status, passedOn.body]).toEqual([
        name, 403, expect.stringContaining('without a proxy in between')
      ])
    }
    expect((await post(`${base}/propose`, Buffer.from('nonsense'))).status).toBe(400)
    expect((await post(`${base}/propose`, encodeCommands(address, [Uint8Array.of(9)]))).status).toBe(400)
    const stranger = { ...address, cluster: { uuid: 'x', isCommitted: true } }
    const refusal = await post(`${base}/propose`, encodeCommands(stranger, []))
    expect([refusal.status, JSON.parse(refusal.body)]).toMatchObject([421, { code: 'RAFT_OTHER_CLUSTER' }])
    expect((await post(`${base}/urls`, Buffer.from('nonsense'))).status).toBe(400)
    for (const wrong of [{ to: from }, { expectedIncarnation: 'ffffffffffffffff' }, { incarnation: 'ffffffffffffffff' }]) {
      expect((await post(`${base}/urls`, encodeUrls({ ...address, ...wrong }, []))).status).toBe(421)
    }
    expect((await post(`${base}/nowhere`, good)).status).toBe(404)

    const after = target?.engine.status()
    expect(after).toMatchObject({ term, role: 'follower' })
    // The leader may write down its followers' logs meanwhile, so the log's end is its leader's and not that of before.
    expect(after?.commitIndex).toBeLessThanOrEqual(leader.engine.status().commitIndex)
    expect(after?.lastIndex).toBeLessThanOrEqual(leader.engine.status().lastIndex)
    expect(target?.machine.journal).toEqual(['kept'])
    await leader.engine.propose(Buffer.from('still works'))
    await until('it has followed', () => target?.machine.journal.length === 2)
    expect(target?.machine.journal).toEqual(['kept', 'still works'])
    expect(target?.engine.status().term).toBe(term)
  })

  it('refuse what comes in the name of the node itself, and what only a leader writes', async () => {
    await cluster.start(2)
    const [n1, n2] = [cluster.node('n1'), cluster.node('n2')]
    await until('both know both logs', () => [n1, n2].every(({ storage }) =>
      storage.hasRecorded('n1') && storage.hasRecorded('n2')))
    const uuid = await until('n1 knows its cluster', () => n1.engine.clusterUuid())
    const addressFrom = (id: string, { incarnation }: { readonly incarnation: string }) => ({
      clusterId: 'test',
      from: asNodeId(id),
      to: asNodeId('n1'),
      incarnation,
      expectedIncarnation: n1.storage.incarnation,
      cluster: { uuid, isCommitted: true }
    })
    const itself = addressFrom('n1', n1.storage)
    // Of an earlier term: the answer would go to the node itself, which the core holds impossible.
    const heartbeat: Message = {
      from: itself.from, to: itself.to, term: asTerm(0), kind: 'heartbeat-request', commit: asIndex(0), round: 1
    }
    const url = `${n1.url}/_cluster/raft`
    expect(await post(`${url}/control`, encodeMessages(itself, [heartbeat]))).toMatchObject({ status: 421 })
    const other = addressFrom('n2', n2.storage)
    const commands: readonly CommandEnvelope[] =
      [{ kind: 'clock', wallMs: 1 }, { kind: 'checkpoint', index: 1, hash: new Uint8Array(32) }]
    for (const command of commands) {
      const refused = await post(`${url}/propose`, encodeCommands(other, [encodeEnvelope(command)]))
      expect([refused.status, refused.body]).toEqual([400, expect.stringContaining(`only a leader writes a ${command.kind}`)])
    }
    expect(n1.engine.status().failure).toBeNull()
  })

  it('tell a member who is there, and where the others are', async () => {
    await cluster.start(2)
    const [n1, n2] = [cluster.node('n1'), cluster.node('n2')]
    await until('both know both logs', () => [n1, n2].every(({ storage }) =>
      storage.hasRecorded('n1') && storage.hasRecorded('n2')))
    const uuid = await until('n2 knows its cluster', () => n2.engine.clusterUuid())
    const [from, to] = [asNodeId('n1'), asNodeId('n2')]
    const incarnation = n1.storage.incarnation
    const address = { clusterId: 'test', from, to, incarnation, expectedIncarnation: '' }
    const response = await fetch(`${n2.url}/_cluster/raft/urls`, {
      method: 'POST',
      body: new Blob([Uint8Array.from(encodeUrls(address, []))]),
      headers: { 'content-type': 'application/octet-stream' }
    })
    expect(decodeUrls(new Uint8Array(await response.arrayBuffer()))).toEqual({
      address: {
        clusterId: 'test',
        from: to,
        to: from,
        incarnation: n2.storage.incarnation,
        expectedIncarnation: incarnation,
        cluster: { uuid, isCommitted: true }
      },
      members: [{ id: 'n2', url: n2.url }, { id: 'n1', url: n1.url }]
    })
  })

  it('refuse a body by its length before it comes, each route by its own, and one without a length', async () => {
    await cluster.start(2)
    const [node] = cluster.nodes.values()
    const { maxControlBytes, maxAppendBytes, maxProposeBytes, maxSnapshotBytes, maxUrlsBytes } = peerLimits
    const limits = {
      control: maxControlBytes,
      append: maxAppendBytes,
      propose: maxProposeBytes,
      snapshot: maxSnapshotBytes,
      urls: maxUrlsBytes,
      notes: peerLimits.maxNotesBytes
    }
    for (const [route, limit] of Object.entries(limits)) {
      const url = `${node?.url}/_cluster/raft/${route}`
      expect(await codeOf(url, { 'content-length': limit + 1 })).toBe('413 RAFT_TOO_LARGE')
      expect(await codeOf(url, { 'transfer-encoding': 'chunked' })).toBe('400 RAFT_MALFORMED_MESSAGE')
    }
  })

  it('refuse a hello that is too long before it comes', async () => {
    const reading = readSecret(makeSecret())
    if (reading.kind === 'fault') throw new Error(reading.message)
    cluster = new EngineCluster({ secrets: () => ({ current: [reading.secret] }) })
    await cluster.start(2)
    const [node] = cluster.nodes.values()
    const url = `${node?.url}/_cluster/raft/hello`
    expect(await codeOf(url, { 'content-length': peerLimits.maxHelloBytes + 1 })).toBe('413 RAFT_TOO_LARGE')
    expect(await codeOf(url, { 'transfer-encoding': 'chunked' })).toBe('400 RAFT_MALFORMED_MESSAGE')
    for (const route of ['control', 'append', 'propose', 'snapshot', 'urls', 'notes']) {
      const answer = await codeOf(`${node?.url}/_cluster/raft/${route}`, { 'content-length': 2 ** 40 })
      expect(answer).toBe('401 RAFT_UNAUTHENTICATED')
    }
  })
})

/** Sends the head of a request and no body. */
async function codeOf (url: string, headers: Record<string, string | number>): Promise<string> {
  const request = httpRequest(url, {
    method: 'POST',
    headers: { 'content-type': 'application/octet-stream', ...headers }
  })
  request.flushHeaders()
  const [response] = await once(request, 'response') as [IncomingMessage]
  const body = JSON.parse(await text(response)) as { readonly code: string }
  request.destroy()
  return `${response.statusCode} ${body.code}`
}
