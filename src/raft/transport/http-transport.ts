import { Pool } from 'undici'
import type { Message, NodeId } from '../core/index.ts'
import { asNodeId } from '../core/index.ts'
import type { Member } from '../engine.ts'
import { MisdirectedError } from '../errors.ts'
import type { Logger } from '../runtime/logger.ts'
import type { Address, ForwardAnswer } from './codec.ts'
import { decodeForwardAnswer, decodeMessages, encodeCommands, encodeMessages, messageBytes } from './codec.ts'
import { Lane, NeverLeftError } from './lane.ts'
import type { SnapshotPiece, SnapshotReply } from './snapshot-codec.ts'
import { decodeSnapshotReply, encodeSnapshotPiece } from './snapshot-codec.ts'
import { SnapshotLink } from './snapshot-link.ts'
import type { PeerIdentities } from './transport.ts'
import type { Transport, TransportEvents } from './transport.ts'

/** Paths below the peer prefix; one lane of traffic each. */
export const lanePaths = { control: '/control', append: '/append', propose: '/propose', snapshot: '/snapshot' } as const

export interface HttpTransportOptions {
  readonly clusterId: string
  readonly nodeId: NodeId
  readonly incarnations: PeerIdentities
  /** Path prefix of the peer routes, for example `/_cluster/raft`. */
  readonly basePath: string
  /** Deadline of connecting and of requests that no disk delays. */
  readonly controlTimeoutMs: number
  /** Deadline of requests that wait for the peer's disk. */
  readonly appendTimeoutMs: number
  /** Deadline of a part of a snapshot; the last one waits until the peer's disk has all of it. */
  readonly snapshotTimeoutMs: number
  readonly events: TransportEvents
  readonly logger: Logger
}

/** How long a peer that asked for something counts as waiting for the commit index. */
const awaitedMs = 1_000

interface ForwardItem {
  readonly commands: readonly Uint8Array[]
  readonly resolve: (answer: ForwardAnswer) => void
  readonly reject: (cause: unknown) => void
}

interface Peer {
  readonly url: string
  readonly pool: Pool
  /** Votes, heartbeats and reads: never behind bulk data or a disk. */
  readonly control: Lane<Message>
  readonly append: Lane<Message>
  readonly propose: Lane<ForwardItem>
  readonly snapshots: SnapshotLink
}

/** An append that carries nothing but the commit index: the next one with entries carries it as well. */
function tellsOnlyOfCommit (message: Message): boolean {
  return message.kind === 'append-request' && message.entries.length === 0
}

/** Whether a queued message has nothing to say that a newer one does not say too. */
function outruns (newer: Message, queued: Message): boolean {
  return queued.kind === 'append-request' && newer.kind === 'append-request' && tellsOnlyOfCommit(queued) &&
  newer.term === queued.term && newer.prevIndex >= queued.prevIndex && newer.commit >= queued.commit
}

function rejectAll (items: readonly ForwardItem[], cause: unknown): void {
  for (const item of items) {
    item.reject(cause)
  }
}

function commandBytes (item: ForwardItem): number {
  return item.commands.reduce((total, command) => total + command.byteLength, 64)
}

/** Peers over HTTP: per peer one connection pool and three lanes, each with one batched POST in flight. */
export class HttpTransport implements Transport {
  readonly #options: HttpTransportOptions
  readonly #peers = new Map<NodeId, Peer>()
  readonly #down = new Set<NodeId>()
  /** Who asked for something that ends with a commit index, and when last. Milliseconds of `performance.now()`. */
  readonly #askedAtMs = new Map<NodeId, number>()

  constructor (options: HttpTransportOptions) {
    this.#options = options
  }

  setPeers (members: readonly Member[]): void {
    const wanted = new Map(members.map((member) => [asNodeId(member.id), member]))
    for (const [id, peer] of this.#peers) {
      if (wanted.get(id)?.url === peer.url) continue
      this.#peers.delete(id)
      this.#askedAtMs.delete(id)
      this.#disconnect(peer).catch((cause: unknown) => {
        this.#options.logger.warn({ peer: id, err: cause }, 'closing the connections to a former peer failed')
      })
    }
    for (const [id, member] of wanted) if (!this.#peers.has(id)) this.#peers.set(id, this.#connect(member))
  }

  send (messages: readonly Message[]): void {
    const batches = new Map<Lane<Message>, Message[]>()
    for (const message of messages) {
      const peer = this.#peers.get(message.to)
      if (peer === undefined) continue
      const lane = message.kind === 'append-request' ? peer.append : peer.control
      const batch = batches.get(lane)
      if (batch === undefined) batches.set(lane, [message])
      else batch.push(message)
    }
    for (const [lane, batch] of batches) lane.push(batch)
  }

  forward (to: NodeId, commands: readonly Uint8Array[]): Promise<ForwardAnswer> {
    const peer = this.#peers.get(to)
    if (peer === undefined) return Promise.reject(new NeverLeftError(`no peer ${to}`))
    return new Promise((resolve, reject) => { peer.propose.push([{ commands, resolve, reject }]) })
  }

  async sendSnapshot (to: NodeId, piece: SnapshotPiece, signal: AbortSignal): Promise<SnapshotReply> {
    const peer = this.#peers.get(to)
    if (peer === undefined) throw new Error(`no peer ${to}`)
    const body = await peer.snapshots.request(encodeSnapshotPiece(this.#addressOf(to), piece), signal)
    const { address, reply } = decodeSnapshotReply(body)
    this.#checkAnswer(to, address)
    return reply
  }

  commitAwaitedBy (peer: NodeId): void {
    if (this.#peers.has(peer)) this.#askedAtMs.set(peer, performance.now())
  }

  #isAwaited (peer: NodeId): boolean {
    return performance.now() - (this.#askedAtMs.get(peer) ?? -Infinity) < awaitedMs
  }

  async close (): Promise<void> {
    const peers = [...this.#peers.values()]
    this.#peers.clear()
    await Promise.all(peers.map((peer) => this.#disconnect(peer)))
  }

  async #disconnect (peer: Peer): Promise<void> {
    peer.control.close()
    peer.append.close()
    peer.propose.close()
    await Promise.all([peer.pool.destroy(), peer.snapshots.close()])
  }

  #addressOf (to: NodeId): Address {
    const { clusterId, nodeId, incarnations } = this.#options
    return { clusterId, from: nodeId, to, incarnation: incarnations.own, expectedIncarnation: incarnations.of(to) }
  }

  #connect (member: Member): Peer {
    const { basePath, controlTimeoutMs, appendTimeoutMs } = this.#options
    const id = asNodeId(member.id)
    const pool = new Pool(member.url, {
      connections: 3,
      pipelining: 1,
      connect: { timeout: controlTimeoutMs },
      keepAliveTimeout: 60_000
    })
    const address = (): Address => this.#addressOf(id)
    const messages = {
      maxQueuedItems: 1_024,
      maxQueuedBytes: 16_777_216,
      maxBatchBytes: 4_194_304,
      byteLength: messageBytes,
      encode: (batch: readonly Message[]) => encodeMessages(address(), batch),
      answered: (_batch: readonly Message[], body: Uint8Array) => this.#takeAnswers(id, body)
    }
    return {
      url: member.url,
      pool,
      snapshots: new SnapshotLink({
        url: member.url,
        path: basePath + lanePaths.snapshot,
        connectTimeoutMs: controlTimeoutMs,
        timeoutMs: this.#options.snapshotTimeoutMs
      }),
      control: new Lane(pool, {
        ...messages,
        path: basePath + lanePaths.control,
        timeoutMs: controlTimeoutMs,
        lost: (_batch, cause) => this.#reportDown(id, cause),
        supersedes: (newer, queued) => newer.kind === 'heartbeat-request' && queued.kind === 'heartbeat-request'
      }),
      append: new Lane(pool, {
        ...messages,
        path: basePath + lanePaths.append,
        timeoutMs: appendTimeoutMs,
        supersedes: outruns,
        mayWait: (message) => tellsOnlyOfCommit(message) && !this.#isAwaited(id),
        lost: (_batch, cause) => {
          this.#reportDown(id, cause)
          // Only here: what was sent ahead on this lane cannot be relied on any more.
          this.#options.events.peerUnreachable(id)
        }
      }),
      propose: new Lane<ForwardItem>(pool, {
        path: basePath + lanePaths.propose,
        timeoutMs: controlTimeoutMs,
        maxQueuedItems: 1_024,
        maxQueuedBytes: 16_777_216,
        maxBatchBytes: 4_194_304,
        byteLength: commandBytes,
        encode: (items) => encodeCommands(address(), items.flatMap((item) => item.commands)),
        answered: (items, body) => {
          const answer = decodeForwardAnswer(body)
          this.#checkAnswer(id, answer.address)
          for (const item of items) item.resolve(answer.answer)
        },
        lost: rejectAll,
        // Its peer may have another address now, and go on leading: no change of leader would have them sent again.
        abandoned: rejectAll
      })
    }
  }

  #takeAnswers (peer: NodeId, body: Uint8Array): void {
    const { address, messages } = decodeMessages(body)
    this.#checkAnswer(peer, address)
    if (this.#down.delete(peer)) this.#options.logger.info({ peer }, 'peer is reachable again')
    if (messages.length > 0) this.#options.events.answersReceived(peer, messages)
  }

  #checkAnswer (peer: NodeId, address: Address): void {
    const { clusterId, nodeId, incarnations } = this.#options
    if (address.clusterId !== clusterId || address.from !== peer || address.to !== nodeId) {
      throw new MisdirectedError(`an answer of ${address.from} in ${address.clusterId} to ${address.to}`)
    }
    incarnations.checkAnswer(address)
  }

  #reportDown (peer: NodeId, cause: unknown): void {
    if (this.#down.has(peer)) return
    this.#down.add(peer)
    this.#options.logger.warn({ peer, err: cause }, 'peer is unreachable')
  }
}
