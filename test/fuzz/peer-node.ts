import http from 'node:http'
import type { AddressInfo } from 'node:net'
import { BroadcastCourier } from '../../src/plugin/primitives/broadcast-courier.ts'
import { ClusterStateMachine } from '../../src/plugin/replicated/cluster-state-machine.ts'
import { encodeCommand } from '../../src/plugin/replicated/command.ts'
import type { Configuration, Entry } from '../../src/raft/core/index.ts'
import { asIndex, asNodeId, asTerm } from '../../src/raft/core/index.ts'
import type { RaftEngine, Secrets } from '../../src/raft/index.ts'
import { MemorySnapshotStore, MemoryStorage, openRaftEngine } from '../../src/raft/index.ts'
import { systemTimers } from '../../src/raft/internal.ts'
import { encodeEnvelope } from '../../src/raft/state/command-envelope.ts'
import type { Address } from '../../src/raft/transport/codec.ts'
import { encodeMessages } from '../../src/raft/transport/codec.ts'
import { helloPath } from '../../src/raft/transport/http-peer.ts'
import { OutgoingSession } from '../../src/raft/trust/outgoing-session.ts'
import { sealField } from '../../src/raft/trust/seal-field.ts'
import { quietLogger } from '../support/engine-cluster.ts'
import type { HttpAnswer } from './http-client.ts'
import { HttpClient } from './http-client.ts'
import { turnsUntil } from './turns.ts'

/** What the node under test is. */
export type PeerRole = 'follower' | 'leader'

export const clusterId = 'fuzz'
export const clusterUuid = '6f0d1a3e-0000-4000-8000-000000000001'
export const basePath = '/_cluster/raft'
/** The term of the log that a node starts with, its last index and how much of that is committed. */
export const base = { term: 3, lastIndex: 6, commit: 5 } as const

/** Nobody listens there, and no node under test calls anything else. */
const nowhere = 'http://127.0.0.1:9'

const ids = ['n1', 'n2', 'n3'].map(asNodeId)

/** Which log each member keeps. */
export function incarnationOf (id: string): string {
  return id.at(-1)?.repeat(16) ?? ''
}

/** The follower is one of three voters; the leader is the only voter, so that it leads without an election. */
export function configurationOfRole (role: PeerRole): Configuration {
  const members = ids.map((id) => ({ id, address: nowhere, incarnation: incarnationOf(id) }))
  return role === 'follower'
    ? { clusterUuid, members, voters: ids, outgoing: [], learners: [] }
    : { clusterUuid, members, voters: ids.slice(0, 1), outgoing: [], learners: ids.slice(1) }
}

/** Commands as a node proposes them: a session, and writes in it. */
export function commandOf (sequence: number, key: string, value: unknown): Uint8Array {
  return encodeEnvelope({
    kind: 'command',
    session: 3,
    sequence,
    lowestOpen: 1,
    payload: encodeCommand({ kind: 'map-set', map: 'kv', key, value })
  })
}

export const openSession = encodeEnvelope({ kind: 'open', nonce: new Uint8Array(16).fill(7), ttlMs: 3_600_000 })

function startEntries (role: PeerRole): readonly Entry[] {
  const head = (index: number, term: number): { index: Entry['index'], term: Entry['term'], timeMs: number } =>
    ({ index: asIndex(index), term: asTerm(term), timeMs: 1_000 * index })
  return [
    { ...head(1, 1), kind: 'noop' },
    { ...head(2, 1), kind: 'configuration', configuration: configurationOfRole(role) },
    { ...head(3, 2), kind: 'command', data: openSession },
    { ...head(4, 2), kind: 'command', data: commandOf(1, 'a', 1) },
    { ...head(5, 3), kind: 'command', data: commandOf(2, 'b', { c: [true, null] }) },
    { ...head(6, 3), kind: 'command', data: commandOf(3, 'a', 2) }
  ]
}

/** Who speaks to the node under test, and in which cluster. */
export function addressFrom (from: string): Address {
  return {
    clusterId,
    from: asNodeId(from),
    to: asNodeId('n1'),
    incarnation: incarnationOf(from),
    expectedIncarnation: incarnationOf('n1'),
    cluster: { uuid: clusterUuid, isCommitted: true }
  }
}

/** Counts what is written: a refused input writes nothing. */
class CountingStorage extends MemoryStorage {
  writes = 0

  override append (...batch: Parameters<MemoryStorage['append']>): Promise<void> {
    this.writes++
    return super.append(...batch)
  }

  override reset (...start: Parameters<MemoryStorage['reset']>): Promise<void> {
    this.writes++
    return super.reset(...start)
  }
}

/** Far beyond any run: nothing happens in a node under test but by the inputs. */
const stillTiming = { heartbeatMs: 36_000_000, electionTimeoutMinMs: 360_000_000, electionTimeoutMaxMs: 720_000_000 }

/** What peers send their messages as. */
export const peerContentType = 'application/octet-stream'

/** One real node behind a real server, with a log that is the same at each start. */
export class PeerNode {
  readonly role: PeerRole
  readonly #secrets: Secrets | null
  readonly #server = http.createServer((request, response) => { this.#engine?.handlePeerRequest(request, response) })
  #engine: RaftEngine | null = null
  #client: HttpClient | null = null
  #session: OutgoingSession | null = null
  #storage = new CountingStorage()
  #machine = new ClusterStateMachine()

  constructor (role: PeerRole, secrets: Secrets | null) {
    this.role = role
    this.#secrets = secrets
  }

  get client (): HttpClient {
    this.#client ??= new HttpClient((this.#server.address() as AddressInfo).port)
    return this.#client
  }

  /** The session of n2 with this node; only of a node with secrets. */
  get session (): OutgoingSession {
    if (this.#session === null) throw new Error('there is no session')
    return this.#session
  }

  get engine (): RaftEngine {
    if (this.#engine === null) throw new Error('the node is not open')
    return this.#engine
  }

  async open (): Promise<void> {
    this.#server.keepAliveTimeout = 0
    await new Promise<void>((resolve) => { this.#server.listen(0, '127.0.0.1', resolve) })
    await this.renew()
  }

  /** Ends the node and starts it again from its first state. */
  async renew (): Promise<void> {
    await this.#engine?.stop()
    this.#storage = new CountingStorage(incarnationOf('n1'))
    await this.#storage.open()
    const { term, commit } = base
    await this.#storage.append({
      hardState: { term: asTerm(term), vote: null, commit: asIndex(commit) },
      entries: startEntries(this.role)
    })
    await this.#storage.close()
    this.#machine = new ClusterStateMachine()
    this.#engine = await openRaftEngine({
      nodeId: 'n1',
      clusterId,
      members: [],
      storage: this.#storage,
      snapshots: new MemorySnapshotStore(),
      stateMachine: this.#machine,
      timing: stillTiming,
      logger: quietLogger,
      acceptUrl: (url) => url === nowhere,
      secrets: this.#secrets
    })
    // As in an application: it takes the broadcasts of other nodes.
    const broadcasts = { received: () => {}, lost: () => {}, timers: systemTimers, logger: quietLogger }
    const { notes } = this.#engine
    new BroadcastCourier({ ...broadcasts, nodeId: 'n1', engine: this.#engine, notes }).close()
    this.#engine.start()
    if (this.#secrets !== null) await this.#openSession(this.#secrets)
    await this.#settle(this.#engine)
  }

  /** Sends a message as n2 does. */
  async post (lane: string, body: Uint8Array): Promise<HttpAnswer | null> {
    const path = basePath + lane
    const seal = this.#session === null ? [] : [[sealField, this.#session.seal(path, body).field] as const]
    const fields = [['content-type', peerContentType] as const, ...seal]
    return await this.client.send({ method: 'POST', path, fields, body, framing: 'length' })
  }

  /** All that must be as before after a refused input. */
  signature (): string {
    const { leaseRemainingMs: _, ...status } = this.engine.status()
    return JSON.stringify([status, this.engine.membership(), this.#storage.writes, this.#machine])
  }

  async close (): Promise<void> {
    this.#client?.close()
    await this.#engine?.stop()
    this.#server.closeAllConnections()
    await new Promise((resolve) => { this.#server.close(resolve) })
  }

  async #openSession (secrets: Secrets): Promise<void> {
    const session = new OutgoingSession({ clusterId, from: asNodeId('n2'), to: asNodeId('n1') }, secrets)
    const { body, welcomed } = session.hello()
    this.#session = null
    const answer = await this.client.send({
      method: 'POST',
      path: basePath + helloPath,
      fields: [['content-type', peerContentType]],
      body,
      framing: 'length'
    })
    if (answer?.status !== 200 || !welcomed(answer.body)) throw new Error('there is no session')
    this.#session = session
  }

  async #settle (engine: RaftEngine): Promise<void> {
    const { commit, lastIndex } = base
    if (this.role === 'leader') {
      await turnsUntil(() => engine.currentLeadership() !== null && engine.status().appliedIndex > lastIndex)
    } else {
      await this.post('/control', heartbeatBody())
      await turnsUntil(() => engine.status().appliedIndex === commit)
    }
  }
}

/** A heartbeat of the leader of the follower's term. */
export function heartbeatBody (from = 'n2'): Uint8Array {
  const address = addressFrom(from)
  return encodeMessages(address, [{
    from: address.from,
    to: address.to,
    term: asTerm(base.term),
    cluster: { uuid: clusterUuid, isCommitted: true },
    kind: 'heartbeat-request',
    commit: asIndex(base.commit),
    round: 1
  }])
}
