import type { buildConnector } from 'undici'
import type { Message, NodeId } from '../core/index.ts'
import { asNodeId } from '../core/index.ts'
import type { Member } from '../engine.ts'
import { MisdirectedError, OtherSecretError, WrongCertificateError } from '../errors.ts'
import type { Connector, Environment } from '../runtime/environment.ts'
import { systemEnvironment } from '../runtime/environment.ts'
import type { Logger } from '../runtime/logger.ts'
import type { NameForm } from '../trust/certificate-names.ts'
import { OutgoingSession } from '../trust/outgoing-session.ts'
import type { Secrets } from '../trust/secret.ts'
import type { TlsMaterial, TlsSource } from '../trust/tls-material.ts'
import type { Address, ForwardAnswer, UrlsAnswer } from './codec.ts'
import {
  decodeForwardAnswer,
  decodeMessages,
  decodeUrls,
  encodeAppends,
  encodeCommands,
  encodeMessages,
  encodeUrls,
  messageBytes
} from './codec.ts'
import { attemptConnection } from './connection-attempt.ts'
import type { LaneWork } from './lane.ts'
import { Lane, PeerRefusal } from './lane.ts'
import { NotSentError } from './not-sent.ts'
import type { PeerChannel } from './peer-channel.ts'
import { AuthenticatedChannel, openChannel } from './peer-channel.ts'
import { postOnce } from './post-once.ts'
import { RenewedPool } from './renewed-pool.ts'
import type { SnapshotChunk, SnapshotReply } from './snapshot-codec.ts'
import { decodeSnapshotReply, encodeSnapshotChunk } from './snapshot-codec.ts'
import { SnapshotLink } from './snapshot-link.ts'
import { connectOptions } from './tls.ts'
import type { ClusterIdentity, NonceExchange, PeerIdentities, PeerUrls, TransportEvents } from './transport.ts'

/** Paths below the peer prefix: one for each lane of traffic, and `urls`, where nodes say where they are reached. */
export const lanePaths = {
  control: '/control',
  append: '/append',
  propose: '/propose',
  snapshot: '/snapshot',
  urls: '/urls',
  notes: '/notes'
} as const

/** Path of the handshake below the peer prefix. */
export const helloPath = '/hello'

/** What all peers of a node share. */
export interface HttpTransportOptions {
  readonly clusterId: string
  readonly nodeId: NodeId
  readonly incarnations: PeerIdentities
  readonly cluster: ClusterIdentity
  readonly nonces: NonceExchange
  readonly urls: PeerUrls
  /** Path prefix of the peer routes, for example `/_cluster/raft`. */
  readonly basePath: string
  /** Deadline of connecting and of requests that no disk delays. */
  readonly controlTimeoutMs: number
  /** Deadline of requests that wait for the peer's disk. */
  readonly appendTimeoutMs: number
  /** Deadline of a chunk of a snapshot; the last one waits until the peer's disk has all of it. */
  readonly snapshotTimeoutMs: number
  /** What peers with https URLs are called with. */
  readonly tls: TlsSource
  readonly nameForm: NameForm
  /** What peers prove that they belong with; null: they are not authenticated. */
  readonly secrets: Secrets | null
  readonly events: TransportEvents
  /** That of this process when left out. */
  readonly environment?: Environment
  readonly logger: Logger
}

/**
 * How long a peer that asked for something counts as waiting for the commit index, in milliseconds: about as long as a
 * commit takes. Each node asks every two seconds how far it is behind, and that must not keep it waiting all the time.
 */
const awaitedMs = 20

/** Commands on their way to the leader, and the promise of its answer. */
interface ForwardItem {
  readonly commands: readonly Uint8Array[]
  readonly resolve: (answer: ForwardAnswer) => void
  readonly reject: (cause: unknown) => void
}

/** Bytes for a peer beside the log, and the promise of their arrival. */
interface NoteItem {
  readonly note: Uint8Array
  readonly resolve: () => void
  readonly reject: (cause: unknown) => void
}

/** What outlives the connections to a peer. */
export interface PeerWatch {
  /** The peers whose last request failed, and what the log says of them. */
  readonly down: Map<NodeId, string>
  /** A request to this peer failed. */
  readonly failed: (peer: HttpPeer) => void
}

/** One peer over HTTP: a pool, four lanes with one batched POST in flight each, and a link for snapshots. */
export class HttpPeer {
  readonly id: NodeId
  readonly url: string
  /** Votes, heartbeats and reads: never behind bulk data or a disk. */
  readonly control: Lane<Message>
  readonly append: Lane<Message>
  readonly propose: Lane<ForwardItem>
  readonly notes: Lane<NoteItem>
  readonly #options: HttpTransportOptions
  readonly #environment: Environment
  readonly #watch: PeerWatch
  readonly #pool: RenewedPool
  readonly #snapshots: SnapshotLink
  /** Ends the look that is under way. */
  #endAttempt: (() => void) | null = null
  /** When it last asked for something that ends with a commit index. Milliseconds of the monotonic clock. */
  #askedAtMs = -Infinity

  constructor (options: HttpTransportOptions, { id, url }: Member, watch: PeerWatch) {
    const { basePath, controlTimeoutMs, appendTimeoutMs, snapshotTimeoutMs, tls } = options
    const { environment = systemEnvironment } = options
    const { timers } = environment
    this.#environment = environment
    const connect = (material: TlsMaterial): buildConnector.BuildOptions | Connector => this.#connectOptions(material)
    this.id = asNodeId(id)
    this.url = url
    this.#options = options
    this.#watch = watch
    this.#pool = new RenewedPool(url, tls, (material) => ({
      connections: 4,
      pipelining: 1,
      connect: connect(material),
      keepAliveTimeout: 60_000
    }))
    const channel = this.#createChannel()
    const laneOf = <Item>(work: LaneWork<Item>): Lane<Item> => new Lane(this.#pool, channel, work, timers)
    this.control = laneOf(new ControlWork(this, basePath + lanePaths.control, controlTimeoutMs))
    this.append = laneOf(new AppendWork(this, basePath + lanePaths.append, appendTimeoutMs))
    this.propose = laneOf(new ProposeWork(this, basePath + lanePaths.propose, controlTimeoutMs))
    this.notes = laneOf(new NoteWork(this, basePath + lanePaths.notes, controlTimeoutMs))
    this.#snapshots = new SnapshotLink({
      url,
      channel,
      path: basePath + lanePaths.snapshot,
      tls,
      connect,
      timers,
      timeoutMs: snapshotTimeoutMs
    })
  }

  #connectOptions (material: TlsMaterial): buildConnector.BuildOptions | Connector {
    const { connector } = this.#environment
    if (connector !== null) return connector
    const { clusterId, controlTimeoutMs, nameForm: form } = this.#options
    return connectOptions(controlTimeoutMs, material, { id: this.id, clusterId, form })
  }

  #createChannel (): PeerChannel {
    const { clusterId, nodeId, secrets, basePath, controlTimeoutMs } = this.#options
    if (secrets === null) return openChannel
    return new AuthenticatedChannel({
      session: new OutgoingSession({ clusterId, from: nodeId, to: this.id }, secrets),
      secrets,
      nodeId,
      peerId: this.id,
      helloPath: basePath + helloPath,
      helloTimeoutMs: controlTimeoutMs,
      timers: this.#environment.timers
    })
  }

  async sendSnapshot (chunk: SnapshotChunk, signal: AbortSignal): Promise<SnapshotReply> {
    const body = await this.#snapshots.request(encodeSnapshotChunk(this.address(), chunk), signal)
    const { address, reply } = decodeSnapshotReply(body)
    this.checkAnswer(address)
    return reply
  }

  /** Asks at a URL whether this peer is there, and tells it `members`; resolves with what it says of them itself. */
  async askAt (url: string, members: readonly Member[], signal: AbortSignal): Promise<UrlsAnswer> {
    const { basePath, controlTimeoutMs: timeoutMs, tls } = this.#options
    const body = encodeUrls(this.address(), members)
    // A session of its own: another node may be there under this id.
    const channel = this.#createChannel()
    const connect = this.#connectOptions(tls.current)
    const { timers } = this.#environment
    const answer = decodeUrls(
      await postOnce(url, { channel, path: basePath + lanePaths.urls, body, timeoutMs, timers, connect, signal })
    )
    this.checkAnswer(answer.address)
    return answer
  }

  /** Looks whether its process is there; one look at a time. */
  tryConnection (): void {
    if (this.#endAttempt !== null) return
    const { controlTimeoutMs, events } = this.#options
    this.#endAttempt = attemptConnection(this.url, controlTimeoutMs, {
      refused: () => { events.connectionRefused(this.id) },
      ended: () => { this.#endAttempt = null }
    }, this.#environment)
  }

  async disconnect (): Promise<void> {
    this.#endAttempt?.()
    this.control.close()
    this.append.close()
    this.propose.close()
    this.notes.close()
    await Promise.all([this.#pool.destroy(), this.#snapshots.close()])
  }

  /** It asked for something that ends with a commit index. */
  commitAwaited (): void {
    this.#askedAtMs = this.#environment.clock.monotonicMs()
  }

  get isCommitAwaited (): boolean {
    return this.#environment.clock.monotonicMs() - this.#askedAtMs < awaitedMs
  }

  /** The address of a request to it, with the incarnations and the cluster known now. */
  address (): Address {
    const { clusterId, nodeId, incarnations, cluster } = this.#options
    return {
      clusterId,
      from: nodeId,
      to: this.id,
      incarnation: incarnations.own,
      expectedIncarnation: incarnations.of(this.id),
      cluster: cluster.mark()
    }
  }

  /** What the clock shows that forwarded requests tell their time by. */
  get ownClockMs (): number {
    return Math.floor(this.#environment.clock.monotonicMs())
  }

  /** The key of this node that its messages tell the peer. */
  get ownNonce (): Uint8Array {
    return this.#options.nonces.ownBytes
  }

  /** Throws when an answer is not that of this peer to this node. */
  checkAnswer (address: Address): void {
    const { clusterId, nodeId, incarnations, cluster } = this.#options
    if (address.clusterId !== clusterId || address.from !== this.id || address.to !== nodeId) {
      throw new MisdirectedError(`an answer of ${address.from} in ${address.clusterId} to ${address.to}`)
    }
    cluster.checkAnswer(address)
    incarnations.checkAnswer(address)
  }

  takeAnswers (body: Uint8Array): void {
    const { events, logger } = this.#options
    const { address, messages } = decodeMessages(body)
    this.checkAnswer(address)
    if (this.#watch.down.delete(this.id)) logger.info({ peer: this.id }, 'peer is reachable again')
    if (messages.length > 0) events.answersReceived(this.id, messages)
  }

  /** A request failed; logged once until it answers again, or fails in another way. */
  reportDown (cause: unknown): void {
    this.#watch.failed(this)
    const { level, what, details } = failureOf(cause)
    if (this.#watch.down.get(this.id) === what) return
    this.#watch.down.set(this.id, what)
    this.#options.logger[level]({ peer: this.id, ...details }, what)
  }

  reportAppendsLost (): void {
    this.#options.events.peerUnreachable(this.id)
  }
}

/** How a request failed, for the log. What an operator has to repair is no matter of reach. */
function failureOf (
  cause: unknown
): { readonly level: 'warn' | 'error', readonly what: string, readonly details: object } {
  const err = cause instanceof NotSentError ? cause.cause : cause
  if (err instanceof OtherSecretError) {
    return { level: 'error', what: 'peer has another secret', details: reasonOf(err) }
  }
  if (err instanceof WrongCertificateError) {
    return { level: 'error', what: 'peer has the certificate of another node', details: reasonOf(err) }
  }
  if (err instanceof PeerRefusal && err.statusCode === 401) {
    return { level: 'error', what: 'peer refuses this node', details: { err } }
  }
  return { level: 'warn', what: 'peer is unreachable', details: { err: cause } }
}

/** Without a stack, which would hide what an operator has to read. As in the report of what was refused. */
function reasonOf ({ code, message }: { readonly code: string, readonly message: string }): object {
  return { code, reason: message }
}

/** What the lanes of one peer have in common. */
abstract class PeerWork {
  readonly path: string
  readonly timeoutMs: number
  readonly maxQueuedItems = 1_024
  readonly maxQueuedBytes = 16_777_216
  readonly maxBatchBytes = 4_194_304
  protected readonly peer: HttpPeer

  constructor (peer: HttpPeer, path: string, timeoutMs: number) {
    this.peer = peer
    this.path = path
    this.timeoutMs = timeoutMs
  }
}

/** Messages whose answers come back with the HTTP response. */
abstract class MessageWork extends PeerWork implements LaneWork<Message> {
  byteLength (message: Message): number {
    return messageBytes(message)
  }

  encode (messages: readonly Message[]): Buffer {
    return encodeMessages(this.peer.address(), messages, this.peer.ownNonce, this.peer.ownClockMs)
  }

  answered (_messages: readonly Message[], body: Uint8Array): void {
    this.peer.takeAnswers(body)
  }

  lost (_messages: readonly Message[], cause: unknown): void {
    this.peer.reportDown(cause)
  }

  abstract supersedes (newer: Message, queued: Message): boolean
}

class ControlWork extends MessageWork {
  supersedes (newer: Message, queued: Message): boolean {
    return newer.kind === 'heartbeat-request' && queued.kind === 'heartbeat-request'
  }
}

class AppendWork extends MessageWork {
  override encode (messages: readonly Message[]): Buffer {
    const appends = messages.filter((message) => message.kind === 'append-request')
    return encodeAppends(this.peer.address(), appends, this.peer.ownNonce, this.peer.ownClockMs)
  }

  /** The newer append makes a queued one redundant that carries no entries. */
  supersedes (newer: Message, queued: Message): boolean {
    return queued.kind === 'append-request' && newer.kind === 'append-request' && carriesOnlyCommit(queued) &&
      newer.term === queued.term && newer.prevIndex >= queued.prevIndex && newer.commit >= queued.commit
  }

  mayWait (message: Message): boolean {
    return carriesOnlyCommit(message) && !this.peer.isCommitAwaited
  }

  override lost (messages: readonly Message[], cause: unknown): void {
    super.lost(messages, cause)
    // Only here: appends that were pipelined on this lane may be lost as well.
    this.peer.reportAppendsLost()
  }
}

/** An append that carries nothing but the commit index: the next one with entries carries it as well. */
function carriesOnlyCommit (message: Message): boolean {
  return message.kind === 'append-request' && message.entries.length === 0
}

/** What a command counts beside its bytes: a batch of the smallest ones stays below `peerLimits.maxCommands`. */
const commandOverheadBytes = 32

class ProposeWork extends PeerWork implements LaneWork<ForwardItem> {
  byteLength ({ commands }: ForwardItem): number {
    return commands.reduce((total, command) => total + command.byteLength + commandOverheadBytes, 64)
  }

  encode (items: readonly ForwardItem[]): Buffer {
    return encodeCommands(this.peer.address(), items.flatMap(({ commands }) => commands))
  }

  answered (items: readonly ForwardItem[], body: Uint8Array): void {
    const { address, answer } = decodeForwardAnswer(body)
    this.peer.checkAnswer(address)
    for (const item of items) item.resolve(answer)
  }

  lost (items: readonly ForwardItem[], cause: unknown): void {
    for (const item of items) item.reject(cause)
  }

  /** The peer may have another URL now, and go on leading: no change of leader would make the sender try again. */
  abandoned (items: readonly ForwardItem[], cause: unknown): void {
    this.lost(items, cause)
  }
}

class NoteWork extends PeerWork implements LaneWork<NoteItem> {
  byteLength ({ note }: NoteItem): number {
    return note.byteLength + commandOverheadBytes
  }

  encode (items: readonly NoteItem[]): Buffer {
    return encodeCommands(this.peer.address(), items.map(({ note }) => note))
  }

  answered (items: readonly NoteItem[], body: Uint8Array): void {
    this.peer.checkAnswer(decodeMessages(body).address)
    for (const { resolve } of items) resolve()
  }

  lost (items: readonly NoteItem[], cause: unknown): void {
    for (const { reject } of items) reject(cause)
  }

  abandoned (items: readonly NoteItem[], cause: unknown): void {
    this.lost(items, cause)
  }
}
