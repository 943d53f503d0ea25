import type { NodeId } from '../core/index.ts'
import type { Member } from '../engine.ts'
import type { Clock } from '../runtime/clock.ts'
import { systemClock } from '../runtime/clock.ts'
import type { HttpPeer, HttpTransportOptions } from './http-peer.ts'

/** What is known of a peer, and how it is asked. */
export type SearchedPeer = Pick<HttpPeer, 'id' | 'url' | 'askAt'>

/** What a {@link PeerSearch} works with. */
interface PeerSearchOptions extends Pick<HttpTransportOptions, 'urls' | 'logger'> {
  /** A peer that does not answer is looked for once in so many milliseconds. */
  readonly pauseMs: number
  /** Where this node and all its peers are reached, as far as it knows. */
  readonly known: () => readonly Member[]
  /** The clocks of this process when left out. */
  readonly clock?: Clock
  /** Whether this peer still is one, with these connections. */
  readonly isCurrent: (peer: SearchedPeer) => boolean
  /** This peer has answered at this URL: reaches it there from now on, with the connections that it returns. */
  readonly move: (peer: SearchedPeer, url: string) => SearchedPeer
}

/**
 * Looks for peers at other URLs than they are reached at. Who answers is judged by id, cluster and log, never by the
 * URL: a wrong one costs a question.
 */
export class PeerSearch {
  readonly #options: PeerSearchOptions
  readonly #stopped = new AbortController()
  /** When each peer was looked for last. Milliseconds of the monotonic clock. */
  readonly #lookedAtMs = new Map<NodeId, number>()

  constructor (options: PeerSearchOptions) {
    this.#options = options
  }

  stop (): void {
    this.#stopped.abort()
  }

  /** A request to this peer failed: looks for it wherever it may be. */
  failed (peer: SearchedPeer): void {
    const nowMs = (this.#options.clock ?? systemClock).monotonicMs()
    if (nowMs - (this.#lookedAtMs.get(peer.id) ?? -Infinity) < this.#options.pauseMs) return
    const urls = this.#options.urls.candidates(peer.id).filter((url) => url !== peer.url)
    if (urls.length === 0) return
    this.#lookedAtMs.set(peer.id, nowMs)
    for (const url of urls) this.#look(peer, url)
  }

  /** This peer is none any more. */
  forget (id: NodeId): void {
    this.#lookedAtMs.delete(id)
  }

  /** The peer says that it is reached at this URL. */
  announced (peer: SearchedPeer, url: string): void {
    if (url !== peer.url) this.#look(peer, url)
  }

  /** Tells the peer where this node is reached. */
  tell (peer: SearchedPeer): void {
    this.#look(peer, peer.url)
  }

  #look (peer: SearchedPeer, url: string): void {
    const { urls, logger } = this.#options
    this.#ask(peer, url).catch((err: unknown) => {
      if (this.#stopped.signal.aborted) return
      logger.debug({ peer: peer.id, url, own: urls.own, err }, 'the peer is not there')
    })
  }

  async #ask (peer: SearchedPeer, url: string): Promise<void> {
    const { urls, known, isCurrent, move } = this.#options
    const { address, members } = await peer.askAt(url, known(), this.#stopped.signal)
    if (this.#stopped.signal.aborted || !isCurrent(peer)) return
    const announced = urls.heard(address, members)
    urls.confirmed(peer.id, url)
    const current = url === peer.url ? peer : move(peer, url)
    // Its own word is the better one: behind the other URL may be a balancer that leads to another node next time.
    if (announced !== null) this.announced(current, announced)
  }
}
