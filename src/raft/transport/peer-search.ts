import type { NodeId } from '../core/index.ts'
import type { Member } from '../engine.ts'
import type { HttpPeer, HttpTransportOptions } from './http-peer.ts'

/** What a {@link PeerSearch} works with. */
interface PeerSearchOptions extends Pick<HttpTransportOptions, 'urls' | 'logger'> {
  /** A peer that does not answer is looked for once in so many milliseconds. */
  readonly pauseMs: number
  /** Where this node and all its peers are reached, as far as it knows. */
  readonly known: () => readonly Member[]
  /** Whether this peer still is one, with these connections. */
  readonly isCurrent: (peer: HttpPeer) => boolean
  /** This peer has answered at this URL, and is to be reached there from now on. */
  readonly move: (peer: HttpPeer, url: string) => void
}

/**
 * Looks for peers at other URLs than they are reached at. Who answers is judged by id, cluster and log, never by the
 * URL: a wrong one costs a question.
 */
export class PeerSearch {
  readonly #options: PeerSearchOptions
  readonly #stopped = new AbortController()
  /** When each peer was looked for last. Milliseconds of `performance.now()`. */
  readonly #lookedAtMs = new Map<NodeId, number>()

  constructor (options: PeerSearchOptions) {
    this.#options = options
  }

  stop (): void {
    this.#stopped.abort()
  }

  /** A request to this peer failed: looks for it wherever it may be. */
  failed (peer: HttpPeer): void {
    const nowMs = performance.now()
    if (nowMs - (this.#lookedAtMs.get(peer.id) ?? -Infinity) < this.#options.pauseMs) return
    const urls = this.#options.urls.candidates(peer.id).filter((url) => url !== peer.url)
    if (urls.length === 0) return
    this.#lookedAtMs.set(peer.id, nowMs)
    for (const url of urls) this.#look(peer, url)
  }

  /** The peer says that it is reached at this URL. */
  announced (peer: HttpPeer, url: string): void {
    if (url !== peer.url) this.#look(peer, url)
  }

  /** Tells the peer where this node is reached. */
  tell (peer: HttpPeer): void {
    this.#look(peer, peer.url)
  }

  #look (peer: HttpPeer, url: string): void {
    const { urls, logger } = this.#options
    this.#ask(peer, url).catch((err: unknown) => {
      if (this.#stopped.signal.aborted) return
      logger.debug({ peer: peer.id, url, own: urls.own, err }, 'the peer is not there')
    })
  }

  async #ask (peer: HttpPeer, url: string): Promise<void> {
    const { urls, known, isCurrent, move } = this.#options
    const { address, members } = await peer.askAt(url, known(), this.#stopped.signal)
    if (this.#stopped.signal.aborted || !isCurrent(peer)) return
    const announced = urls.heard(address, members)
    urls.confirmed(peer.id, url)
    if (url !== peer.url) move(peer, url)
    else if (announced !== null) this.announced(peer, announced)
  }
}
