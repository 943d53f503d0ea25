import type { Message, NodeId } from '../core/index.ts'
import { asNodeId } from '../core/index.ts'
import type { Member } from '../engine.ts'
import { systemEnvironment } from '../runtime/environment.ts'
import type { Address, ForwardAnswer } from './codec.ts'
import type { HttpTransportOptions, PeerWatch } from './http-peer.ts'
import { HttpPeer } from './http-peer.ts'
import type { Lane } from './lane.ts'
import { NotSentError } from './not-sent.ts'
import type { SearchedPeer } from './peer-search.ts'
import { PeerSearch } from './peer-search.ts'
import { isPeerUrl } from './peer-url.ts'
import type { SnapshotChunk, SnapshotReply } from './snapshot-codec.ts'
import type { Transport } from './transport.ts'

/** A peer, and where the configuration says that it is. */
interface KnownPeer {
  readonly configuredUrl: string
  readonly peer: HttpPeer
}

/** Carries messages to peers over HTTP; see {@link HttpPeer}. */
export class HttpTransport implements Transport {
  readonly #options: HttpTransportOptions
  readonly #peers = new Map<NodeId, KnownPeer>()
  readonly #watch: PeerWatch
  readonly #search: PeerSearch

  constructor (options: HttpTransportOptions) {
    this.#options = options
    const { urls, logger, controlTimeoutMs, environment: { clock } = systemEnvironment } = options
    this.#search = new PeerSearch({
      urls,
      logger,
      clock,
      pauseMs: controlTimeoutMs,
      known: () => this.#known(),
      isCurrent: (peer) => this.#peer(peer.id) === peer,
      move: (peer, url) => this.#move(peer, url)
    })
    this.#watch = { down: new Map(), failed: (peer) => { this.#search.failed(peer) } }
  }

  setPeers (members: readonly Member[]): void {
    const wanted = new Map(members.map((member) => [asNodeId(member.id), member]))
    for (const [id, { configuredUrl, peer }] of this.#peers) {
      const url = wanted.get(id)?.url
      // One that was found elsewhere stays there until the configuration says something new.
      if (url === configuredUrl) continue
      if (url === peer.url) {
        this.#peers.set(id, { configuredUrl: url, peer })
        continue
      }
      this.#peers.delete(id)
      this.#disconnect(peer)
      if (url !== undefined) continue
      // Another node of its id starts with a clean record.
      this.#watch.down.delete(id)
      this.#search.forget(id)
    }
    for (const [id, member] of wanted) {
      if (this.#peers.has(id)) continue
      if (!isPeerUrl(member.url)) {
        // The log says so, and a node cannot go on without its log: that member is not called.
        this.#options.logger.error({ peer: id, url: member.url }, 'the configuration has a member without a usable URL')
        continue
      }
      this.#peers.set(id, { configuredUrl: member.url, peer: new HttpPeer(this.#options, member, this.#watch) })
    }
  }

  send (messages: readonly Message[]): void {
    const batches = new Map<Lane<Message>, Message[]>()
    for (const message of messages) {
      const peer = this.#peer(message.to)
      if (peer === undefined) continue
      const lane = message.kind === 'append-request' ? peer.append : peer.control
      const batch = batches.get(lane)
      if (batch === undefined) batches.set(lane, [message])
      else batch.push(message)
    }
    for (const [lane, batch] of batches) lane.push(batch)
  }

  forward (to: NodeId, commands: readonly Uint8Array[]): Promise<ForwardAnswer> {
    const peer = this.#peer(to)
    if (peer === undefined) return Promise.reject(new NotSentError(`no peer ${to}`))
    return new Promise((resolve, reject) => { peer.propose.push([{ commands, resolve, reject }]) })
  }

  /** Sends bytes beside the log; see `PeerNotes.send`. */
  sendNote (to: NodeId, note: Uint8Array): Promise<void> {
    const peer = this.#peer(to)
    if (peer === undefined) return Promise.reject(new NotSentError(`no peer ${to}`))
    return new Promise((resolve, reject) => { peer.notes.push([{ note, resolve, reject }]) })
  }

  async sendSnapshot (to: NodeId, chunk: SnapshotChunk, signal: AbortSignal): Promise<SnapshotReply> {
    const peer = this.#peer(to)
    if (peer === undefined) throw new Error(`no peer ${to}`)
    return await peer.sendSnapshot(chunk, signal)
  }

  commitAwaitedBy (peer: NodeId): void {
    this.#peer(peer)?.commitAwaited()
  }

  tryConnection (peer: NodeId): void {
    this.#peer(peer)?.tryConnection()
  }

  /** Tells all peers where this node is reached. */
  announce (): void {
    for (const { peer } of this.#peers.values()) this.#search.tell(peer)
  }

  /** Takes what another node says of the URLs of members, and returns what this node knows of them. */
  exchangeUrls (address: Address, members: readonly Member[]): readonly Member[] {
    const announced = this.#options.urls.heard(address, members)
    const peer = this.#peer(address.from)
    if (announced !== null && peer !== undefined) this.#search.announced(peer, announced)
    return this.#known()
  }

  async close (): Promise<void> {
    this.#search.stop()
    const peers = [...this.#peers.values()]
    this.#peers.clear()
    await Promise.all(peers.map(({ peer }) => peer.disconnect()))
  }

  #peer (id: NodeId): HttpPeer | undefined {
    return this.#peers.get(id)?.peer
  }

  #known (): readonly Member[] {
    const { nodeId, urls: { own } } = this.#options
    const peers = [...this.#peers.values()].map(({ peer: { id, url } }) => ({ id, url }))
    return own === '' ? peers : [{ id: nodeId, url: own }, ...peers]
  }

  #move ({ id, url: before }: SearchedPeer, url: string): SearchedPeer {
    this.#options.logger.info({ peer: id, url, before }, 'found the peer at another URL')
    const known = this.#peers.get(id)
    const peer = new HttpPeer(this.#options, { id, url }, this.#watch)
    this.#peers.set(id, { configuredUrl: known?.configuredUrl ?? before, peer })
    if (known !== undefined) this.#disconnect(known.peer)
    return peer
  }

  #disconnect (peer: HttpPeer): void {
    peer.disconnect().catch((cause: unknown) => {
      this.#options.logger.warn({ peer: peer.id, err: cause }, 'closing the connections to a former peer failed')
    })
  }
}
