import type { Message, NodeId } from '../core/index.ts'
import { asNodeId } from '../core/index.ts'
import type { Member } from '../engine.ts'
import type { ForwardAnswer } from './codec.ts'
import type { HttpTransportOptions } from './http-peer.ts'
import { HttpPeer } from './http-peer.ts'
import type { Lane } from './lane.ts'
import { NotSentError } from './not-sent.ts'
import type { SnapshotChunk, SnapshotReply } from './snapshot-codec.ts'
import type { Transport } from './transport.ts'

/** Carries messages to peers over HTTP; see {@link HttpPeer}. */
export class HttpTransport implements Transport {
  readonly #options: HttpTransportOptions
  readonly #peers = new Map<NodeId, HttpPeer>()
  readonly #down = new Set<NodeId>()

  constructor (options: HttpTransportOptions) {
    this.#options = options
  }

  setPeers (members: readonly Member[]): void {
    const wanted = new Map(members.map((member) => [asNodeId(member.id), member]))
    for (const [id, peer] of this.#peers) {
      if (wanted.get(id)?.url === peer.url) continue
      this.#peers.delete(id)
      peer.disconnect().catch((cause: unknown) => {
        this.#options.logger.warn({ peer: id, err: cause }, 'closing the connections to a former peer failed')
      })
    }
    for (const [id, member] of wanted) {
      if (!this.#peers.has(id)) this.#peers.set(id, new HttpPeer(this.#options, member, this.#down))
    }
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
    if (peer === undefined) return Promise.reject(new NotSentError(`no peer ${to}`))
    return new Promise((resolve, reject) => { peer.propose.push([{ commands, resolve, reject }]) })
  }

  async sendSnapshot (to: NodeId, chunk: SnapshotChunk, signal: AbortSignal): Promise<SnapshotReply> {
    const peer = this.#peers.get(to)
    if (peer === undefined) throw new Error(`no peer ${to}`)
    return await peer.sendSnapshot(chunk, signal)
  }

  commitAwaitedBy (peer: NodeId): void {
    this.#peers.get(peer)?.commitAwaited()
  }

  async close (): Promise<void> {
    const peers = [...this.#peers.values()]
    this.#peers.clear()
    await Promise.all(peers.map((peer) => peer.disconnect()))
  }
}
