import { X509Certificate } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { request as httpsRequest } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ConnectionOptions, TLSSocket } from 'node:tls'
import { connect } from 'node:tls'
import type { FastifyInstance } from 'fastify'
import Fastify from 'fastify'
import { Agent, fetch } from 'undici'
import { describe, expect, it, onTestFinished } from 'vitest'
import { freePorts } from '../../../src/cli/local/ports.ts'
import type { ClusterOptions, TlsOptions } from '../../../src/plugin/index.ts'
import { cluster, serverTls } from '../../../src/plugin/index.ts'
import { asIndex, asNodeId, asTerm } from '../../../src/raft/core/index.ts'
import { makeSecret } from '../../../src/raft/index.ts'
import { encodeMessages } from '../../../src/raft/transport/codec.ts'
import type { TestCertificate } from '../../support/certificates.ts'
import { createAuthority } from '../../support/certificates.ts'
import { MemoryLogger } from '../../support/memory-logger.ts'
import { until } from '../../support/until.ts'
import { certifiedCluster, certifiedNode } from '../support/certified-cluster.ts'
import type { Node } from '../support/cluster-of-three.ts'
import { agreedLeader } from '../support/cluster-of-three.ts'

const authority = await createAuthority()
const ca = authority.ca
const issued = new Map<string, TestCertificate>()
for (const id of ['n1', 'n2', 'n3', 'n4', 'gw']) {
  issued.set(id, await authority.issue({ dns: [id, 'localhost'], ips: ['127.0.0.1'] }))
}
const other = await createAuthority()

function certificateOf (id: string): TestCertificate {
  const certificate = issued.get(id)
  if (certificate === undefined) throw new Error(`no certificate of ${id}`)
  return certificate
}

function tlsOf (id: string): TlsOptions {
  return { ca, ...certificateOf(id) }
}

function declareOrders (app: FastifyInstance): void {
  app.post<{ Body: { id: string } }>('/orders', { forward: true }, async ({ body }) => {
    await app.cluster.map('orders').set(body.id, body.id)
    return { by: app.cluster.nodeId }
  })
}

async function order (url: string, id: string): Promise<unknown> {
  const dispatcher = new Agent({ connect: { ca } })
  onTestFinished(async () => { await dispatcher.close() })
  const answer = await fetch(`${url}/orders`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ id }),
    dispatcher
  })
  return [answer.status, await answer.json()]
}

interface Answer {
  readonly status: number
  readonly code: string
  readonly message: string
}

interface Call {
  readonly method: string
  readonly headers?: Readonly<Record<string, string | number>>
  readonly body?: string | Buffer
}

/** Makes one call over a connection of its own, whatever the certificate of the server says. */
function call (url: URL, { method, headers = {}, body = '' }: Call, connection: ConnectionOptions): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const options = { agent: false, ca, checkServerIdentity: () => undefined, ...connection } as const
    const length = { 'content-length': Buffer.byteLength(body) }
    const sent = httpsRequest(url, { method, headers: { ...headers, ...length }, ...options }, (answer) => {
      const chunks: Buffer[] = []
      answer.on('data', (chunk: Buffer) => { chunks.push(chunk) })
      answer.on('end', () => {
        const { code = '', message = '' } = JSON.parse(Buffer.concat(chunks).toString()) as Partial<Answer>
        resolve({ status: answer.statusCode ?? 0, code, message })
      })
    })
    sent.on('error', reject)
    sent.end(body)
  })
}

/** Sends a vote request of a higher term, which would end the leadership if it were believed. */
async function depose (leader: Node, from: string, connection: ConnectionOptions): Promise<Answer> {
  const { incarnation = '' } = leader.app.cluster.membership.members.find(({ id }) => id === leader.id) ?? {}
  const body = encodeMessages(
    {
      clusterId: 'default',
      from: asNodeId(from),
      to: asNodeId(leader.id),
      incarnation: 'x',
      expectedIncarnation: incarnation,
      cluster: { uuid: leader.app.cluster.status.clusterUuid ?? '', isCommitted: true }
    },
    [{
      kind: 'vote-request',
      from: asNodeId(from),
      to: asNodeId(leader.id),
      term: asTerm(1_000),
      lastIndex: asIndex(1_000),
      lastTerm: asTerm(999),
      isTransfer: true
    }]
  )
  const headers = { 'content-type': 'application/octet-stream' }
  return await call(new URL('/_cluster/raft/control', leader.url), { method: 'POST', headers, body }, connection)
}

function refused (status: number, code: string, message = ''): unknown {
  return { status, code, message: expect.stringContaining(message) as string }
}

describe('a cluster whose members have certificates', () => {
  it('elects, writes, forwards and takes in a member, without a secret', async () => {
    const nodes = await certifiedCluster({ tlsOf, declare: declareOrders })
    const leader = await agreedLeader(nodes)
    for (const { id, url } of nodes) expect(await order(url, id)).toEqual([200, { by: leader.id }])
    const [port] = await freePorts(1)
    const url = `https://127.0.0.1:${port}`
    const options = { url, join: nodes.map((node) => node.url) }
    const joined = await certifiedNode({ tlsOf, declare: declareOrders, options }, 'n4', url)
    await until('n4 votes', () =>
      joined.app.cluster.membership.members.find(({ id }) => id === 'n4')?.role === 'voter', 15_000)
    expect(await order(joined.url, 'n4')).toEqual([200, { by: leader.id }])
  }, 60_000)

  it('refuses strangers, and those who have the certificate of somebody else', async () => {
    const logger = new MemoryLogger()
    const nodes = await certifiedCluster({ tlsOf, logger })
    const leader = await agreedLeader(nodes)
    const { term } = leader.app.cluster
    const follower = nodes.find(({ id }) => id !== leader.id) ?? leader
    const stranger = await other.issue({ dns: [follower.id] })
    const wrongName = `that of n4, localhost sends in the name of "${follower.id}"`
    const attempts: ReadonlyArray<[ConnectionOptions, unknown]> = [
      [{}, refused(401, 'RAFT_UNAUTHENTICATED', 'shows no certificate')],
      [stranger, refused(401, 'RAFT_UNAUTHENTICATED', 'is not accepted')],
      [certificateOf('n4'), refused(401, 'RAFT_WRONG_CERTIFICATE', wrongName)],
      [
        { ...certificateOf(follower.id), maxVersion: 'TLSv1.2' },
        refused(401, 'RAFT_UNAUTHENTICATED', 'speaks TLSv1.2, and peers speak TLSv1.3')
      ]
    ]
    for (const [connection, refusal] of attempts) {
      expect(await depose(leader, follower.id, connection)).toEqual(refusal)
    }
    expect(logger.lines.filter(({ message }) => message === 'a peer was refused').map(({ details }) => details))
      .toEqual(expect.arrayContaining([
        expect.objectContaining({ code: 'RAFT_UNAUTHENTICATED' }),
        expect.objectContaining({ code: 'RAFT_WRONG_CERTIFICATE' })
      ]))
    expect(nodes.map(({ app }) => [app.cluster.term, app.cluster.leader?.id])).toEqual(Array(3).fill([term, leader.id]))
  }, 30_000)

  it('takes certificates of another cluster of its authority for those of strangers, with URIs for names', async () => {
    const uriOf = new Map(await Promise.all(['n1', 'n2', 'n3'].map(async (id) => (
      [id, await authority.issue({ uris: [`fastify-raft://default/${id}`] })] as const
    ))))
    const nodes = await certifiedCluster({ tlsOf: (id) => ({ ca, ...uriOf.get(id), names: 'uri' }) })
    const leader = await agreedLeader(nodes)
    const { id } = nodes.find((node) => node !== leader) ?? leader
    for (const request of [{ dns: [id] }, { dns: [id], uris: [`fastify-raft://other/${id}`] }]) {
      expect(await depose(leader, id, await authority.issue(request)))
        .toEqual(refused(401, 'RAFT_UNAUTHENTICATED', 'names nobody of this cluster'))
    }
    expect(leader.app.cluster.isLeader).toBe(true)
  }, 30_000)

  it('does not speak to a server with the certificate of another member', async () => {
    const logger = new MemoryLogger()
    const nodes = await certifiedCluster({ tlsOf, logger })
    const leader = await agreedLeader(nodes)
    const follower = nodes.find(({ id }) => id !== leader.id) ?? leader
    await follower.app.close()
    const impostor = Fastify({ https: { ...serverTls(tlsOf('n4')) } })
    let requests = 0
    impostor.addHook('onRequest', async () => { requests++ })
    onTestFinished(async () => { await impostor.close() })
    await impostor.listen({ host: '127.0.0.1', port: Number(new URL(follower.url).port) })
    const found = await until('the refusal', () =>
      logger.lines.find(({ message }) => message === 'peer has the certificate of another node'))
    expect(found.details).toMatchObject({ peer: follower.id, code: 'RAFT_WRONG_CERTIFICATE' })
    expect(requests).toBe(0)
  }, 30_000)
})

describe('who calls by itself', () => {
  /** Not from this machine, as far as the node can know. */
  const far = { 'x-forwarded-for': '192.0.2.1' }
  const headers = { ...far, 'content-type': 'application/json' }

  it('is known by the certificate of the connection: members, gateways, and nodes that ask to join', async () => {
    const nodes = await certifiedCluster({ tlsOf: (id) => ({ ...tlsOf(id), gateways: ['gw'] }) })
    const leader = await agreedLeader(nodes)
    const ask = async (who: string, path: string): Promise<number> => {
      const connection = who === '' ? {} : certificateOf(who)
      return (await call(new URL(`/_cluster/v1/${path}`, leader.url), { method: 'GET', headers: far }, connection)).status
    }
    expect(await Promise.all(['', 'n1', 'gw', 'n4'].map((who) => ask(who, 'status')))).toEqual([403, 200, 403, 403])
    expect(await Promise.all(['', 'n1', 'gw', 'n4'].map((who) => ask(who, 'leader')))).toEqual([403, 200, 200, 403])
    expect(await Promise.all(['', 'n1', 'gw', 'n4'].map((who) => ask(who, 'watch')))).toEqual([403, 200, 200, 403])
    expect(await Promise.all(['', 'n1', 'gw', 'n4'].map((who) => ask(who, 'members')))).toEqual([403, 200, 403, 200])

    const url = 'https://127.0.0.1:1'
    const add = async (id: string): Promise<Answer> => await call(
      new URL('/_cluster/v1/members', leader.url),
      { method: 'POST', headers, body: JSON.stringify({ id, url }) },
      certificateOf('n4')
    )
    const remove = async (id: string): Promise<Answer> => (
      await call(new URL(`/_cluster/v1/members/${id}`, leader.url), { method: 'DELETE', headers: far }, certificateOf('n4'))
    )
    expect(await add('n5')).toEqual(refused(403, 'RAFT_UNAUTHORIZED', 'n4, localhost cannot join as "n5"'))
    expect(await remove('n1')).toEqual(refused(403, 'RAFT_UNAUTHORIZED'))
    expect(await add('n4')).toMatchObject({ status: 200 })
    expect(await remove('n4')).toMatchObject({ status: 200 })
  }, 30_000)

  it('passes on requests only with the certificate of a member or a gateway, and in no other name', async () => {
    const nodes = await certifiedCluster({
      tlsOf: (id) => ({ ...tlsOf(id), gateways: ['gw'] }),
      declare: (app) => { app.get('/who', { forward: true }, () => ({ code: 'served' })) }
    })
    const leader = await agreedLeader(nodes)
    const [member = leader, another = leader] = nodes.filter((node) => node !== leader)
    const pass = async (from: string, connection: ConnectionOptions): Promise<Answer> => {
      const hop = `v=1;from=${from};to=${leader.id};term=${leader.app.cluster.term}`
      return await call(new URL('/who', leader.url), { method: 'GET', headers: { 'raft-hop': hop } }, connection)
    }
    expect(await pass(member.id, certificateOf(member.id))).toMatchObject({ status: 200, code: 'served' })
    expect(await pass('gateway', certificateOf('gw'))).toMatchObject({ status: 200, code: 'served' })
    expect(await pass(member.id, {})).toEqual(refused(401, 'RAFT_UNAUTHENTICATED', 'shows no certificate'))
    expect(await pass('n4', certificateOf('n4'))).toEqual(refused(401, 'RAFT_WRONG_CERTIFICATE', 'is neither a member'))
    for (const id of ['gw', another.id]) {
      expect(await pass(member.id, certificateOf(id))).toEqual(refused(401, 'RAFT_WRONG_CERTIFICATE', 'in the name of'))
    }
  }, 30_000)

  it('is not taken for the client of a request that it passes on', async () => {
    const nodes = await certifiedCluster({
      tlsOf,
      declare: (app) => {
        app.get('/seen', { forward: true }, ({ raw }) => {
          const { socket, client } = raw as unknown as Record<'socket' | 'client', TLSSocket>
          return {
            code: [
              'encrypted' in socket, socket.authorized, client.authorized, socket.getPeerX509Certificate() === undefined
            ].join(),
            message: JSON.stringify([socket.getPeerCertificate(), client.getPeerCertificate(true)])
          }
        })
      }
    })
    for (const { url } of nodes) {
      expect(await call(new URL('/seen', url), { method: 'GET' }, {}))
        .toEqual({ status: 200, code: 'true,false,false,true', message: '[{},{}]' })
    }
  }, 30_000)
})

describe('renewed certificates', () => {
  it('are shown by the server that showed those of before, which keeps its other options', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'renewed-'))
    onTestFinished(() => { rmSync(directory, { recursive: true }) })
    const path = (part: string): string => join(directory, `${part}.pem`)
    const write = (certificate: TestCertificate): void => {
      writeFileSync(path('key'), certificate.key, { mode: 0o600 })
      writeFileSync(path('cert'), certificate.cert)
    }
    write(certificateOf('n1'))
    writeFileSync(path('ca'), ca)
    const tls = { caFile: path('ca'), certFile: path('cert'), keyFile: path('key') }
    const [port = 0] = await freePorts(1)
    const members = [{ id: 'n1', url: `https://127.0.0.1:${port}` }]
    const app = Fastify({ https: { ...serverTls(tls), minVersion: 'TLSv1.3' } })
    onTestFinished(async () => { await app.close() })
    await app.register(cluster, { id: 'n1', members, tls })
    await app.listen({ host: '127.0.0.1', port })
    const shown = (connection: ConnectionOptions = {}): Promise<string> => new Promise((resolve, reject) => {
      const socket = connect({ host: '127.0.0.1', port, ca, ...connection }, () => {
        resolve(socket.getPeerX509Certificate()?.serialNumber ?? '')
        socket.destroy()
      })
      socket.on('error', reject)
    })
    const next = await authority.issue({ dns: ['n1'], ips: ['127.0.0.1'] })
    const { serialNumber } = new X509Certificate(next.cert)
    expect(await shown()).not.toBe(serialNumber)
    write(next)
    await until('the new certificate', async () => await shown() === serialNumber)
    await expect(shown({ maxVersion: 'TLSv1.2' })).rejects.toThrow()
  }, 30_000)
})

describe('a secret and certificates together', () => {
  it('are both asked for', async () => {
    const secret = makeSecret()
    const nodes = await certifiedCluster({ tlsOf, options: { secret }, declare: declareOrders })
    const leader = await agreedLeader(nodes)
    for (const { id, url } of nodes) expect(await order(url, id)).toEqual([200, { by: leader.id }])
    const { id } = nodes.find((node) => node !== leader) ?? leader
    expect(await depose(leader, id, certificateOf(id))).toEqual(refused(401, 'RAFT_UNAUTHENTICATED', 'carries no seal'))
    expect(await depose(leader, id, {})).toEqual(refused(401, 'RAFT_UNAUTHENTICATED', 'shows no certificate'))
  }, 30_000)
})

describe('a node with a certificate is refused at registration', () => {
  const members = [{ id: 'n1', url: 'https://n1.internal:1' }, { id: 'n2', url: 'https://n2.internal:1' }]

  it.each<[string, () => object, ClusterOptions, RegExp]>([
    ['when its server speaks no TLS', () => Fastify(), { members }, /speaks no TLS.*https: serverTls\(tls\)/],
    [
      'when its server does not ask for certificates',
      () => Fastify({ https: { ...certificateOf('n1') } }),
      { members },
      /does not ask for them.*requestCert: true, rejectUnauthorized: false and ca/
    ],
    [
      'when its server shows the certificate of another member',
      () => Fastify({ https: serverTls(tlsOf('n2')) }),
      { members },
      /shows another certificate than that in tls, which names n2, localhost, and this node is "n1"/
    ],
    [
      'when a member is called without TLS',
      () => Fastify({ https: serverTls(tlsOf('n1')) }),
      { members: [members[0] ?? { id: '', url: '' }, { id: 'n2', url: 'http://n2.internal:1' }] },
      /members\[1\]\.url http:\/\/n2\.internal:1 is called without TLS/
    ],
    [
      'when a gateway has the name of a member',
      () => Fastify({ https: serverTls(tlsOf('n1')) }),
      { members, tls: { ...tlsOf('n1'), gateways: ['gw', 'n2'] } },
      /tls\.gateways\[1\] "n2" is a member/
    ],
    [
      'with all faults of its certificate at once, those of other options too',
      () => Fastify({ https: serverTls(tlsOf('n1')) }),
      { heartbeatMs: 500, members, tls: { ca, caFile: './ca.pem', cert: 'x', certFile: './cert.pem' } },
      /tls\.caFile must not be given together with ca\n.*tls\.certFile must not be given together with cert\n.*electionTimeoutMinMs/
    ],
    [
      'with all faults of its files at once',
      () => Fastify({ https: serverTls(tlsOf('n1')) }),
      { members, tls: { caFile: './none/ca.pem', ...certificateOf('n2') } },
      /tls\.caFile \.\/none\/ca\.pem cannot be read \(ENOENT\)\n.*tls\.cert names n2, localhost, and this node is "n1"[^\n]*\n.*tls\.cert names n2 as well/
    ]
  ])('%s', async (_what, create, options, message) => {
    const app = create() as FastifyInstance
    onTestFinished(async () => { await app.close() })
    await expect(app.register(cluster, { id: 'n1', tls: tlsOf('n1'), ...options })).rejects.toMatchObject({
      code: 'RAFT_INVALID_OPTIONS',
      message: expect.stringMatching(message) as string
    })
  })
})
