import type { Server } from 'node:http'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import { encodeCommand } from '../../src/plugin/replicated/command.ts'
import { asIndex, asTerm } from '../../src/raft/core/index.ts'
import type { Address } from '../../src/raft/transport/codec.ts'
import { encodeCommands, encodeUrls } from '../../src/raft/transport/codec.ts'
import { encodeSnapshotChunk } from '../../src/raft/transport/snapshot-codec.ts'
import { makeSecret } from '../../src/raft/trust/secret.ts'
import { RawClient } from '../gateway/support/servers.ts'
import { until } from '../support/until.ts'
import { BesiegedCluster } from './support/besieged-cluster.ts'
import { ask, askJson } from './support/hostile-request.ts'
import type { Impostor, PeerPath, PeerVerdict, Speech } from './support/impostor.ts'
import { addressOf, bodyOf, PeerVoice, proposeAs } from './support/impostor.ts'
import type { NotesCopy } from './support/notes-cluster.ts'

let besieged: BesiegedCluster
const voices = new Map<string, PeerVoice>()

beforeAll(async () => {
  besieged = await BesiegedCluster.start()
})

beforeEach(async () => { await besieged.look() })

afterAll(async () => {
  for (const voice of voices.values()) await voice.close()
  await besieged.stop()
})

const unauthenticated = { statusCode: 401, code: 'RAFT_UNAUTHENTICATED' }
const unauthorized = { statusCode: 403, code: 'RAFT_UNAUTHORIZED' }
const malformed = { statusCode: 400, code: 'RAFT_MALFORMED_MESSAGE' }
const misdirected = { statusCode: 421, code: 'RAFT_MISDIRECTED' }
const invalid = { statusCode: 400, code: 'RAFT_INVALID_REQUEST' }

/** Speaks to a copy as a peer; each impostor keeps its connection and its session. */
async function speak (target: NotesCopy, impostor: Impostor, path: PeerPath, body: Buffer): Promise<PeerVerdict> {
  return await voiceOf(target, impostor).send(path, body)
}

function voiceOf (target: NotesCopy, impostor: Impostor): PeerVoice {
  const name = JSON.stringify([target.id, impostor])
  const voice = voices.get(name) ?? new PeerVoice(target, impostor)
  voices.set(name, voice)
  return voice
}

/** A request that would depose the leader if it was taken at its word. */
function deposing (next = besieged.term + 1): Speech {
  return {
    kind: 'vote-request',
    term: asTerm(next),
    lastIndex: asIndex(2 ** 40),
    lastTerm: asTerm(next - 1),
    isTransfer: true
  }
}

/** What a member with this id says, with all names right but those given. */
async function from (id: string, target: NotesCopy, names: Partial<Address> = {}): Promise<Address> {
  return { ...await addressOf(besieged.cluster, id, target), ...names }
}

/** The same, when the member is the follower or the leader itself. */
function member (id: string): Impostor {
  return { from: id, secret: besieged.secret }
}

async function nothingExecuted (key: string): Promise<void> {
  expect(await besieged.cluster.executed(key)).toBe(0)
}

const peerPaths = ['control', 'append', 'propose', 'snapshot', 'urls'] as const

describe('somebody who reaches the ports of the copies', () => {
  it('C1 sends a peer call without a seal, or with an invented one', async () => {
    const { leader, follower } = besieged
    const body = bodyOf(await from(follower.id, leader), deposing())
    const seal = `${'ab'.repeat(16)} 1 ${'A'.repeat(43)}`
    await besieged.underAttack('C1', async () => {
      for (const path of peerPaths) {
        expect(await speak(leader, { from: follower.id, secret: null }, path, body)).toEqual(unauthenticated)
        const headers = { 'content-type': 'application/octet-stream', 'raft-seal': seal }
        expect(await ask('POST', `${leader.url}/_cluster/raft/${path}`, { headers, body }))
          .toMatchObject({ statusCode: 401, code: 'RAFT_PEER_SESSION' })
      }
    })
  })

  it('C2 shows the credentials of a client on a peer route', async () => {
    const { leader, follower } = besieged
    const body = bodyOf(await from(follower.id, leader), deposing())
    const credentials = [
      { authorization: `Bearer ${'t'.repeat(43)}` },
      { authorization: `Basic ${Buffer.from('admin:admin').toString('base64')}` },
      { cookie: 'session=admin', 'raft-seal': 'Bearer admin' }
    ]
    await besieged.underAttack('C2', async () => {
      for (const path of peerPaths) {
        for (const shown of credentials) {
          const headers = { 'content-type': 'application/octet-stream', ...shown }
          expect(await ask('POST', `${leader.url}/_cluster/raft/${path}`, { headers, body })).toMatchObject(unauthenticated)
        }
      }
    })
  })

  it('C3 is one copy and says to be another one', async () => {
    const { leader, follower, otherFollower } = besieged
    const body = bodyOf(await from(otherFollower.id, leader), deposing())
    const unknowing = new PeerVoice(leader, { from: otherFollower.id, secret: makeSecret() })
    await besieged.underAttack('C3', async () => {
      expect(await speak(leader, member(follower.id), 'control', body)).toEqual(unauthenticated)
      await expect(unknowing.send('control', body)).rejects.toMatchObject({ cause: { code: 'RAFT_OTHER_SECRET' } })
    })
    await unknowing.close()
  })

  it('C4 was a member, still has the secret, and goes on as one', async () => {
    const speeches: readonly Speech[] = [
      deposing(),
      { kind: 'heartbeat-request', term: asTerm(besieged.term + 1), commit: asIndex(0), round: 1 },
      { kind: 'append-request', term: asTerm(besieged.term + 1), prevIndex: asIndex(0), prevTerm: asTerm(0), commit: asIndex(0), entries: [] }
    ]
    await besieged.underAttack('C4', async () => {
      for (const target of besieged.cluster.copies) {
        const address = await from('removed', target)
        for (const speech of speeches) {
          expect(await speak(target, member('removed'), 'control', bodyOf(address, speech))).toEqual(unauthorized)
        }
        expect(await speak(target, member('removed'), 'propose', encodeCommands(address, []))).toEqual(unauthorized)
        expect(await speak(target, member('removed'), 'urls', encodeUrls(address, [{ id: 'removed', url: 'http://127.0.0.1:1' }])))
          .toEqual(unauthorized)
      }
    })
  })

  it('C5 names the wrong cluster, or another one of the same name', async () => {
    const { leader, follower } = besieged
    const stranger = new PeerVoice(leader, { ...member(follower.id), clusterId: 'another' })
    const body = bodyOf(await from(follower.id, leader), deposing())
    await besieged.underAttack('C5', async () => {
      await expect(stranger.send('control', body)).rejects.toThrow('421 RAFT_MISDIRECTED')
      for (const [names, refusal] of [
        [{ clusterId: 'another' }, misdirected],
        [{ cluster: { uuid: '11111111-1111-4111-8111-111111111111', isCommitted: true } }, { statusCode: 421, code: 'RAFT_OTHER_CLUSTER' }]
      ] as const) {
        const named = bodyOf(await from(follower.id, leader, names), deposing())
        expect(await speak(leader, member(follower.id), 'control', named)).toEqual(refusal)
      }
    })
    await stranger.close()
  })
})

describe('a member that is not what it was', () => {
  it('C8 sends the term 2^53-1, NaN or -1', async () => {
    const { leader, follower } = besieged
    const address = await from(follower.id, leader)
    const [sevens, zero] = [bodyOf(address, deposing(2 ** 53 - 1)), bodyOf(address, deposing(1))]
    // The term of a message stands right behind its kind; each way to write one that no writer of ours writes.
    const at = zero.length - 1 - 6 - 1 - 1
    const written = (...bytes: readonly number[]): Buffer =>
      Buffer.concat([zero.subarray(0, at), Buffer.from(bytes), zero.subarray(at + 1)])
    const minusOne = written(...Array<number>(9).fill(0xff), 0x01)
    const notANumber = written(0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0xfc, 0x7f)
    expect(written(1)).toEqual(zero)
    await besieged.underAttack('C8', async () => {
      for (const body of [sevens, minusOne, notANumber, bodyOf(address, deposing(2 ** 48))]) {
        expect(await speak(leader, member(follower.id), 'control', body)).toEqual(malformed)
      }
      for (const forged of ['9007199254740991', 'NaN', '-1']) {
        const headers = { 'raft-hop': `v=1;from=${follower.id};to=${leader.id};term=${forged}`, 'content-type': 'application/json' }
        const verdict = await ask('POST', `${leader.url}/notes/attack-term`, { headers, body: '{"text":"x"}' })
        expect(verdict).toMatchObject({ statusCode: 401, code: 'RAFT_UNAUTHENTICATED' })
        const url = `${leader.url}/_cluster/v1/members/${follower.id}?ifVersion=${forged}`
        expect(await ask('DELETE', url)).toMatchObject(forged.startsWith('9') ? { statusCode: 409 } : invalid)
      }
    })
    await nothingExecuted('attack-term')
  })

  it('C9 sends an absurd index or count', async () => {
    const { leader, follower, otherFollower } = besieged
    const far = asIndex(2 ** 48)
    const answers: readonly Speech[] = [
      { kind: 'append-response', term: asTerm(besieged.term), prevIndex: asIndex(0), result: { kind: 'accepted', matchIndex: far } },
      { kind: 'heartbeat-response', term: asTerm(besieged.term), round: far }
    ]
    const append: Speech = { kind: 'append-request', term: asTerm(besieged.term), prevIndex: far, prevTerm: asTerm(besieged.term), commit: far, entries: [] }
    const commit: Speech = { kind: 'heartbeat-request', term: asTerm(besieged.term), commit: far, round: far }
    await besieged.underAttack('C9', async () => {
      const toLeader = await from(follower.id, leader)
      for (const speech of answers) {
        expect(await speak(leader, member(follower.id), 'control', bodyOf(toLeader, speech))).toEqual(malformed)
      }
      // What only the leader sends, from a follower, and a count that its message has no room for.
      const toFollower = await from(otherFollower.id, follower)
      for (const speech of [append, commit]) {
        expect(await speak(follower, member(otherFollower.id), 'append', bodyOf(toFollower, speech))).toEqual(malformed)
      }
      const body = bodyOf(toFollower, append)
      const counted = Buffer.concat([body.subarray(0, -1), Buffer.from([0xff, 0xff, 0xff, 0x7f])])
      expect(await speak(follower, member(otherFollower.id), 'append', counted)).toEqual(malformed)
      expect(await ask('GET', `${follower.url}/_cluster/v1/kv?limit=${2 ** 53}`)).toMatchObject(invalid)
      expect(await askJson('PUT', `${follower.url}/_cluster/v1/kv/attack`, { value: 1, ifRevision: 1e300 })).toMatchObject(invalid)
    })
  })

  it('C10 sends a snapshot that is too large, corrupt, or named to reach other files', async () => {
    const { leader, follower, cluster } = besieged
    const status = await cluster.status(follower)
    const { members, clusterUuid } = await cluster.members(follower)
    const configuration = {
      clusterUuid,
      members: members.map(({ id, url, incarnation = '' }) => ({ id, address: url, incarnation })),
      voters: members.map(({ id }) => id),
      outgoing: [],
      learners: []
    }
    const meta = (ids: object): Buffer =>
      Buffer.from(JSON.stringify({ index: 1, configuration: { ...configuration, ...ids } }))
    const bytes = Buffer.from('no state at all')
    const good = {
      index: asIndex((status?.commitIndex ?? 0) + 1_000_000),
      term: asTerm(besieged.term),
      timeMs: 1,
      bytes: bytes.byteLength,
      checksum: 1,
      configuration: meta({})
    }
    const corrupt = { statusCode: 500, code: 'RAFT_SNAPSHOT_CORRUPT' }
    const escaping = { id: '../../escaped', address: '', incarnation: '' }
    const cases = [
      [{ ...good, bytes: 2 ** 47 }, { statusCode: 413, code: 'RAFT_TOO_LARGE' }],
      [good, corrupt],
      [{ ...good, configuration: Buffer.from('../../etc/passwd') }, corrupt],
      [{ ...good, configuration: meta({ members: [escaping], voters: ['../other'] }) }, corrupt],
      [{ ...good, term: asTerm(besieged.term + 1) }, malformed]
    ] as const
    await besieged.underAttack('C10', async () => {
      const address = await from(leader.id, follower)
      for (const [info, refusal] of cases) {
        const body = encodeSnapshotChunk(address, { term: asTerm(besieged.term), info, offset: 0, bytes })
        expect(await speak(follower, member(leader.id), 'snapshot', body)).toEqual(refusal)
      }
      expect(await askJson('POST', `${follower.url}/_cluster/v1/snapshot`, { path: '../../escaped' })).toMatchObject(invalid)
    })
  })

  it('C11 sends __proto__ and constructor in a command', async () => {
    const { leader, follower, cluster } = besieged
    const named = (name: string): Uint8Array =>
      encodeCommand({ kind: 'map-set', map: name, key: name, value: { [name]: { polluted: true } } })
    const payloads = [
      named('constructor'),
      Buffer.from('{"kind":"map-set","map":"m","key":"k","value":1,"__proto__":{"polluted":true}}'),
      Buffer.from('{"kind":"map-set","map":"__proto__","key":"__proto__","value":{"__proto__":{"polluted":true}}}'),
      Buffer.from('{"kind":"constructor","map":"m","key":"k","value":1}'),
      Buffer.from('{"kind":"__proto__"}')
    ]
    await besieged.underAttack('C11, from a member', async () => {
      const address = await from(follower.id, leader)
      await proposeAs(cluster, voiceOf(leader, member(follower.id)), address, { leader, payloads })
    })
  })

  it('C19 sends a command that nests deeply, or is not JSON', async () => {
    const { leader, follower, cluster } = besieged
    const deep = '['.repeat(40_000) + ']'.repeat(40_000)
    const payloads = [
      Buffer.from(`{"kind":"map-set","map":"m","key":"k","value":${deep}}`),
      Buffer.from('['.repeat(80_000)),
      Buffer.from([0xff, 0xfe, 0x00, 0x80]),
      Buffer.alloc(0)
    ]
    await besieged.underAttack('C19, from a member', async () => {
      const address = await from(follower.id, leader)
      await proposeAs(cluster, voiceOf(leader, member(follower.id)), address, { leader, payloads })
    })
  })

  it('C20 gives back or renews the lock of somebody else, with tokens that it guesses', async () => {
    const { leader, follower, otherFollower, cluster } = besieged
    const held = async (): Promise<{ readonly token: string, readonly expiresInMs: number }> =>
      JSON.parse((await ask('POST', `${otherFollower.url}/lock`)).text) as { token: string, expiresInMs: number }
    const { token } = await held()
    // Small ones may be the token of the leadership, which is no secret.
    const guesses = [Number(token) - 1, Number(token) + 1, 2 ** 48]
    const payloads = guesses.flatMap((guess) => [
      encodeCommand({ kind: 'lock-release', name: 'safe', token: guess }),
      encodeCommand({ kind: 'lock-renew', name: 'safe', token: guess, ttlMs: 100 }),
      encodeCommand({ kind: 'lock-abandon', name: 'safe', requestId: `guess ${guess}` })
    ])
    await besieged.underAttack('C20', async () => {
      expect(JSON.parse((await ask('POST', `${follower.url}/lock/steal`)).text)).toEqual({ isStolen: false })
      for (const guess of guesses) {
        const url = `${follower.url}/fenced/attack-fenced?fence=${guess}`
        expect(await askJson('POST', url, { text: 'x' })).toMatchObject({ statusCode: 412, code: 'RAFT_FENCED' })
      }
      const address = await from(follower.id, leader)
      await proposeAs(cluster, voiceOf(leader, member(follower.id)), address, { leader, payloads })
    })
    expect(await held()).toMatchObject({ token })
    expect((await held()).expiresInMs).toBeGreaterThan(0)
  })
})

describe('a client that means no good', () => {
  it('C11 sends __proto__ and constructor in a body, a key, and so into a snapshot', async () => {
    const { follower, leader, cluster } = besieged
    const names = ['__proto__', 'constructor', 'prototype', 'toString', 'hasOwnProperty']
    await besieged.underAttack('C11, from a client', async () => {
      for (const text of ['{"text":"x","__proto__":{"polluted":true}}', '{"constructor":{"prototype":{"polluted":true}},"text":"x"}']) {
        const headers = { 'content-type': 'application/json' }
        expect((await ask('POST', `${follower.url}/notes/attack-proto`, { headers, body: text })).statusCode).toBe(400)
        expect(await ask('PUT', `${follower.url}/_cluster/v1/kv/attack`, { headers, body: text })).toMatchObject({ statusCode: 400 })
      }
      for (const name of names) {
        const url = `${follower.url}/_cluster/v1/kv/${name}`
        expect(await askJson('PUT', url, { value: { name } })).toMatchObject({ statusCode: 200 })
        expect(JSON.parse((await ask('GET', url)).text)).toMatchObject({ key: name, value: { name } })
      }
    })
    await nothingExecuted('attack-proto')
    // A copy that starts from a snapshot with these names in it is as all others are.
    const before = await cluster.facts()
    expect(await askJson('POST', `${follower.url}/_cluster/v1/snapshot`, {})).toMatchObject({ statusCode: 200 })
    for (const name of names) {
      expect(await ask('DELETE', `${leader.url}/_cluster/v1/kv/${name}`)).toMatchObject({ statusCode: 200 })
    }
    expect((await cluster.facts()).kept).toEqual(before.kept)
  })

  it('C12 smuggles a second request through a copy or the gateway', async () => {
    const hidden = 'POST /notes/attack-smuggled HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n' +
      'Content-Length: 12\r\n\r\n{"text":"x"}'
    const { length } = hidden
    const heads = [
      `Content-Length: ${length}\r\nTransfer-Encoding: chunked`,
      `Transfer-Encoding: chunked\r\nContent-Length: ${length}`,
      `Content-Length: 0\r\nContent-Length: ${length}`,
      `Content-Length: +${length}`,
      `Content-Length: 0x${length.toString(16)}`,
      'Transfer-Encoding: chunked, identity',
      'Transfer-Encoding: xchunked',
      'Transfer-Encoding : chunked',
      'Transfer-Encoding:\r\n chunked',
      'X: a\rTransfer-Encoding: chunked',
      'X: a\nContent-Length: 0\n\n'
    ]
    await besieged.underAttack('C12', async () => {
      for (const url of [besieged.follower.url, besieged.gatewayUrl]) {
        for (const head of heads) {
          const client = new RawClient(Number(new URL(url).port))
          client.send(`POST /notes/attack-outer HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n${head}\r\n\r\n0\r\n\r\n${hidden}`)
          client.socket.end()
          await client.untilClosed()
          expect(client.statusCodes.filter((code) => code !== 400), head).toEqual([])
        }
      }
    })
    await nothingExecuted('attack-smuggled')
    await nothingExecuted('attack-outer')
  })

  it('C13 sends line breaks in values', async () => {
    const { follower, gatewayUrl, leader } = besieged
    const injected = '%0d%0aset-cookie:%20injected=1%0d%0a%0d%0a<script>'
    await besieged.underAttack('C13', async () => {
      const verdicts = [
        await ask('GET', `${follower.url}/notes/attack${injected}`),
        await ask('GET', `${gatewayUrl}/notes/attack${injected}`),
        await ask('GET', `${follower.url}/_cluster/v1/kv/${injected}`),
        await ask('GET', `${follower.url}/_cluster/v1/kv?prefix=${injected}`),
        await ask('GET', `${leader.url}/notes/x`, { headers: { 'raft-hop': `v=1;from=a;to=${injected};term=${besieged.term}` } }),
        await askJson('POST', `${follower.url}/_cluster/v1/members`, { id: 'n9\r\nx: 1', url: 'http://127.0.0.1:1' }),
        await askJson('POST', `${follower.url}/_cluster/v1/members`, { id: 'n9', url: 'http://127.0.0.1:1\r\nx: 1' }),
        await ask('DELETE', `${follower.url}/_cluster/v1/members/${injected}`)
      ]
      for (const { headers } of verdicts) expect(headers).not.toHaveProperty('set-cookie')
      expect(verdicts.map(({ statusCode }) => statusCode)).toEqual([200, 200, 404, 200, 401, 400, 400, 400])
      for (const url of [follower.url, gatewayUrl]) {
        const client = new RawClient(Number(new URL(url).port))
        client.send('POST /notes/attack-crlf HTTP/1.1\r\nHost: a\r\nX: a\rSet-Cookie: b\r\nContent-Length: 12\r\n\r\n{"text":"x"}')
        client.socket.end()
        await client.untilClosed()
        expect(client.statusCodes).toEqual([400])
      }
    })
    await nothingExecuted('attack-crlf')
  })

  it('C14 sends fields that only copies send each other', async () => {
    const { leader, follower, gatewayUrl } = besieged
    const uuid = (await besieged.cluster.members(leader)).clusterUuid ?? ''
    const forged = {
      'raft-hop': `v=1;from=${follower.id};to=${leader.id};term=${besieged.term};id=guess;cluster=${uuid};for=198.51.100.7;port=1;tls=1;proof=${'A'.repeat(43)}`,
      'raft-not-executed': `${besieged.term};id=guess`,
      'raft-attempt': 'guess',
      'raft-node': leader.id,
      'raft-cluster': uuid,
      'raft-seal': 'guess'
    }
    const headers = { ...forged, 'content-type': 'application/json' }
    await besieged.underAttack('C14', async () => {
      const refused = await ask('POST', `${leader.url}/notes/attack-hop`, { headers, body: '{"text":"x"}' })
      expect([refused.statusCode, refused.code]).toEqual([401, 'RAFT_UNAUTHENTICATED'])
      const { 'raft-hop': _hop, ...others } = forged
      for (const url of [leader.url, follower.url, gatewayUrl]) {
        const echo = await ask('GET', `${url}/echo`, { headers: { ...others, 'x-forwarded-for': '198.51.100.7', forwarded: 'for=198.51.100.7' } })
        expect(echo.statusCode).toBe(200)
        const seen = JSON.parse(echo.text) as { readonly headers: object, readonly ip: string }
        expect(Object.keys(seen.headers).filter((name) => name.startsWith('raft-'))).toEqual([])
        expect(seen.ip).toBe('127.0.0.1')
      }
    })
    await nothingExecuted('attack-hop')
  })

  it('C15 asks for cluster routes under other spellings, through the gateway and through a forwarded route', async () => {
    const spellings = [
      '/_cluster/v1/leader/step-down', '//_cluster/v1/leader/step-down', '/%5fcluster/v1/leader/step-down',
      '/_CLUSTER/v1/leader/step-down', '/x/../_cluster/raft/append', '/x/%2e%2e/_cluster/v1/members',
      '/_cluster;x/v1/members', '/%255fcluster/v1/leader/step-down', '/.%2f_cluster/v1/leader/step-down',
      'http://a/_cluster/v1/leader/step-down'
    ]
    const { follower, gatewayUrl } = besieged
    await besieged.underAttack('C15', async () => {
      for (const [url, targets] of [
        [gatewayUrl, spellings],
        [follower.url, ['/notes/../_cluster/v1/leader/step-down', '/notes/%2e%2e/%5fcluster/v1/leader/step-down']]
      ] as const) {
        for (const target of targets) {
          const client = new RawClient(Number(new URL(url).port))
          client.send(`POST ${target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}`)
          await client.untilClosed()
          expect(client.received, target).toMatch(/^HTTP\/1\.1 404 [^]*"code":"RAFT_NOT_FOUND"/)
        }
      }
    })
  })

  it('C16 adds a member to make copies send requests to where it points', async () => {
    const { leader, follower, cluster } = besieged
    const urls = [
      'file:///etc/passwd', 'gopher://127.0.0.1:70', 'http://user:secret@127.0.0.1:9', 'http://127.0.0.1:9/admin',
      'http://127.0.0.1:9?x=1', 'http://127.0.0.1:9#x', 'http://127.0.0.1:9@203.0.113.9', 'http:127.0.0.1', 'http://[::1',
      'http://127.0.0.1:0', '//203.0.113.9', 'http://127.0.0.1:9\\@203.0.113.9', 'http://1 27.0.0.1'
    ]
    await besieged.underAttack('C16', async () => {
      for (const url of urls) {
        expect(await askJson('POST', `${follower.url}/_cluster/v1/members`, { id: 'n9', url }), url).toMatchObject(invalid)
      }
      const member = JSON.stringify({ id: 'n9', url: 'http://127.0.0.1:9' })
      for (const fields of [{ 'x-forwarded-for': '127.0.0.1' }, { origin: 'http://127.0.0.1' }]) {
        const headers = { 'content-type': 'application/json', ...fields }
        expect(await ask('POST', `${leader.url}/_cluster/v1/members`, { headers, body: member })).toMatchObject(unauthorized)
      }
    })
    const canary = await Canary.open()
    expect(await askJson('POST', `${leader.url}/_cluster/v1/members`, { id: 'n9', url: canary.url })).toMatchObject({ statusCode: 200 })
    await until('the canary was called', () => canary.targets.length > 2)
    expect(await ask('DELETE', `${leader.url}/_cluster/v1/members/n9`)).toMatchObject({ statusCode: 200 })
    // What peers say, and a gateway that follows the members, without the secret; where it redirects to nobody follows.
    const ofGateway = /^GET \/_cluster\/v1\/(?:leader|readyz|watch\?after=&waitMs=\d+)$/
    expect(new Set(canary.targets.filter((target) => !ofGateway.test(target)))).toEqual(new Set(['POST /_cluster/raft/hello']))
    expect(canary.received).not.toContain(besieged.secret)
    await until('all copies are as they were', async () => (await Promise.all(cluster.copies.map(async (copy) => {
      const { members, isSettled } = await cluster.members(copy)
      return isSettled && members.length === cluster.copies.length
    }))).every(Boolean))
  })

  it('C17 makes a request go round between copies or gateways', async () => {
    const { leader, follower, otherFollower } = besieged
    const headers = { 'content-type': 'application/json' }
    await besieged.underAttack('C17', async () => {
      // Each is told that the other one leads.
      for (const [copy, claimed] of [[follower, otherFollower], [otherFollower, follower]] as const) {
        const hop = `v=1;from=${copy.id};to=${claimed.id};term=${besieged.term};id=guess`
        const verdict = await ask('POST', `${claimed.url}/notes/attack-loop`, { headers: { ...headers, 'raft-hop': hop }, body: '{"text":"x"}' })
        expect([verdict.statusCode, verdict.code]).toEqual([401, 'RAFT_UNAUTHENTICATED'])
      }
      const toAnother = `v=1;from=${follower.id};to=${follower.id};term=${besieged.term};id=guess`
      const verdict = await ask('POST', `${leader.url}/notes/attack-loop`, { headers: { ...headers, 'raft-hop': toAnother }, body: '{"text":"x"}' })
      expect([verdict.statusCode, verdict.code]).toEqual([401, 'RAFT_UNAUTHENTICATED'])
    })
    await nothingExecuted('attack-loop')
  })

  it('C18 sends its header or body slowly, or never reads its answer', async () => {
    const { follower, gatewayUrl } = besieged
    const ports = [follower.url, gatewayUrl].map((url) => Number(new URL(url).port))
    const slow: RawClient[] = []
    for (const port of ports) {
      for (let number = 0; number < 50; number++) {
        slow.push(new RawClient(port).send('POST /notes/attack-slow HTTP/1.1\r\nHost: a\r\nX: '))
        slow.push(new RawClient(port).send(
          'POST /notes/attack-slow HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 12\r\n\r\n{"te'
        ))
        if (number % 5 === 0) {
          const deaf = new RawClient(port).send('GET /large HTTP/1.1\r\nHost: a\r\n\r\n')
          deaf.socket.pause()
          slow.push(deaf)
        }
      }
    }
    await until('all are connected', () => slow.every(({ socket }) => socket.readyState === 'open'))
    await besieged.underAttack('C18', async () => {
      for (const client of slow) if (!client.closed && !client.socket.isPaused()) client.send('a')
      await delay(100)
      // Longer than it takes to begin all of them at once.
    }, 4_000)
    for (const { socket } of slow) socket.destroy()
    await nothingExecuted('attack-slow')
  })

  it('C19 sends garbage for a content type, and JSON that nests deeply', async () => {
    const { leader, follower } = besieged
    const deep = '['.repeat(30_000) + ']'.repeat(30_000)
    const types = ['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data; boundary=x', 'application/json/json', ';', '*/*']
    await besieged.underAttack('C19, from a client', async () => {
      for (const type of types) {
        const headers = { 'content-type': type }
        expect(await ask('POST', `${leader.url}/_cluster/raft/append`, { headers, body: 'x' }))
          .toMatchObject({ statusCode: 415, code: 'RAFT_UNSUPPORTED_TYPE' })
        for (const [method, path] of [['PUT', 'kv/attack'], ['POST', 'members']] as const) {
          expect((await ask(method, `${follower.url}/_cluster/v1/${path}`, { headers, body: '{"text":"x"}' })).statusCode).toBe(415)
        }
        // Fastify takes text/plain unless told otherwise.
        expect([400, 415]).toContain((await ask('POST', `${follower.url}/notes/attack-type`, { headers, body: '{"text":"x"}' })).statusCode)
      }
      const headers = { 'content-type': 'application/json' }
      for (const body of [`{"value":${deep}}`, '['.repeat(60_000), '{"value":'.repeat(20_000), '{"value":1e999999}x', '\0']) {
        const verdict = await ask('PUT', `${follower.url}/_cluster/v1/kv/attack`, { headers, body })
        expect([400, 413]).toContain(verdict.statusCode)
        const forwarded = await ask('POST', `${follower.url}/notes/attack-type`, { headers, body })
        expect(forwarded.statusCode, forwarded.text).toBe(400)
      }
    })
    await nothingExecuted('attack-type')
  })
})

it('has changed nothing in the end: each copy holds what was acknowledged to good clients, and nothing else', async () => {
  const { failures, requests } = await besieged.endClients()
  expect(failures).toEqual([])
  expect(requests).toBeGreaterThan(500)
})

/** Somewhere that copies must not be sent to: keeps what it receives, and redirects all of it. */
class Canary {
  readonly url: string
  readonly targets: string[] = []
  received = ''

  static async open (): Promise<Canary> {
    const server = createServer()
    await new Promise<void>((resolve) => { server.listen(0, '127.0.0.1', resolve) })
    onTestFinished(() => {
      server.close()
      server.closeAllConnections()
    })
    return new Canary(server)
  }

  private constructor (server: Server) {
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    server.on('request', (incoming, response) => {
      this.targets.push(`${incoming.method} ${incoming.url}`)
      this.received += incoming.rawHeaders.join()
      incoming.setEncoding('latin1').on('data', (text: string) => { this.received += text })
      response.writeHead(307, { location: `${this.url}/redirected` }).end()
    })
  }
}
