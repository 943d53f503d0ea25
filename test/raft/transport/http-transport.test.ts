import { once } from 'node:events'
import type { Server } from 'node:http'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import type { NodeId } from '../../../src/raft/core/index.ts'
import { asNodeId, asTerm, stableConfiguration } from '../../../src/raft/core/index.ts'
import { LostLog } from '../../../src/raft/membership/distrust.ts'
import { Incarnations } from '../../../src/raft/membership/incarnations.ts'
import type { HttpTransportOptions } from '../../../src/raft/transport/http-peer.ts'
import { HttpPeer } from '../../../src/raft/transport/http-peer.ts'
import { HttpTransport } from '../../../src/raft/transport/http-transport.ts'
import { NotSentError } from '../../../src/raft/transport/not-sent.ts'
import { plainTls } from '../../../src/raft/trust/tls-material.ts'
import { quietLogger } from '../../support/engine-cluster.ts'
import { until } from '../../support/until.ts'

const cleanUps: Array<() => Promise<void> | void> = []

afterEach(async () => { for (const cleanUp of cleanUps.splice(0)) await cleanUp() })

/** A peer that takes requests and never answers. */
async function silentPeer (): Promise<{ readonly server: Server, readonly url: string, readonly taken: string[] }> {
  const taken: string[] = []
  const server = createServer((request) => { taken.push(request.url ?? '') })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  cleanUps.push(() => {
    server.closeAllConnections()
    server.close()
  })
  return { server, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, taken }
}

const [n1, n2] = [asNodeId('n1'), asNodeId('n2')]

function optionsOf (nodeId: NodeId): HttpTransportOptions {
  return {
    clusterId: 'test',
    nodeId,
    nonces: { ownBytes: new Uint8Array(0), learn: () => {} },
    incarnations: new Incarnations({
      nodeId,
      own: 'a',
      node: {
        possibleConfigurations: [],
        isInContact: false,
        configurationIndex: 0,
        configuration: stableConfiguration([]),
        view: { role: 'follower', term: asTerm(1), leader: null }
      },
      lostLog: new LostLog(nodeId, 10),
      logger: quietLogger
    }),
    cluster: { mark: () => undefined, checkAnswer: () => {}, checkRequest: () => {} },
    urls: { own: '', candidates: () => [], heard: () => null, confirmed: () => {} },
    basePath: '/raft',
    tls: plainTls,
    nameForm: 'any',
    controlTimeoutMs: 60_000,
    appendTimeoutMs: 60_000,
    snapshotTimeoutMs: 60_000,
    secrets: null,
    events: { answersReceived: () => {}, peerUnreachable: () => {}, connectionRefused: () => {} },
    logger: quietLogger
  }
}

describe('peers over HTTP', () => {
  it('wait for the commit index for a moment after they asked, not until they ask again how far they are behind', async () => {
    const peer = new HttpPeer(optionsOf(n1), { id: n2, url: 'http://127.0.0.1:1' }, { down: new Map(), failed: () => {} })
    cleanUps.unshift(() => peer.disconnect())
    expect(peer.isCommitAwaited).toBe(false)
    peer.commitAwaited()
    expect(peer.isCommitAwaited).toBe(true)
    const startMs = performance.now()
    await until('it is over', () => !peer.isCommitAwaited)
    expect(performance.now() - startMs).toBeLessThan(500)
  })

  it('reject a waiting call when the peer\'s address changes', async () => {
    const { url, taken } = await silentPeer()
    const transport = new HttpTransport(optionsOf(n1))
    cleanUps.unshift(() => transport.close())
    transport.setPeers([{ id: n2, url }])
    const underWay = transport.forward(n2, [Buffer.from('one')]).catch((cause: unknown) => cause)
    await until('the request', () => taken.length === 1)
    const queued = transport.forward(n2, [Buffer.from('two')]).catch((cause: unknown) => cause)
    transport.setPeers([{ id: n2, url: (await silentPeer()).url }])
    expect(await Promise.all([underWay, queued])).toEqual([
      new Error('the lane was closed'),
      new NotSentError('the lane was closed')
    ])
    // It may have arrived: whoever sends it again has to make sure that it counts once.
    expect(await underWay).not.toBeInstanceOf(NotSentError)
    expect(await queued).toBeInstanceOf(NotSentError)
    const [stranger] = await Promise.allSettled([transport.forward(asNodeId('n3'), [Buffer.from('three')])])
    expect(stranger).toMatchObject({ status: 'rejected', reason: new NotSentError('no peer n3') })
    expect(stranger.status === 'rejected' && stranger.reason).toBeInstanceOf(NotSentError)
  })

  it('are reported when they refuse a connection that was asked for, and only then', async () => {
    const there = await silentPeer()
    const gone = await silentPeer()
    gone.server.close()
    await once(gone.server, 'close')
    const connected = once(there.server, 'connection')
    const refused: string[] = []
    const events = { ...optionsOf(n1).events, connectionRefused: (peer: NodeId) => { refused.push(peer) } }
    const transport = new HttpTransport({ ...optionsOf(n1), events })
    cleanUps.unshift(() => transport.close())
    transport.setPeers([{ id: n2, url: there.url }, { id: asNodeId('n3'), url: gone.url }])
    transport.tryConnection(n2)
    await connected
    transport.tryConnection(asNodeId('n4'))
    // One at a time: the second is the first.
    transport.tryConnection(asNodeId('n3'))
    transport.tryConnection(asNodeId('n3'))
    await until('the refusal', () => refused.length > 0)
    expect(refused).toEqual(['n3'])
    transport.tryConnection(asNodeId('n3'))
    await until('the next one', () => refused.length > 1)
    expect(refused).toEqual(['n3', 'n3'])
    expect(there.taken).toEqual([])
  })
})
