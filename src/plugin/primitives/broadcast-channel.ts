import type { Logger } from '../../raft/index.ts'
import type { Timers } from '../../raft/internal.ts'

/** Messages of one subscriber that wait for their turn, at most: past them it is told that it has lost some. */
export const maxQueuedMessages = 10_000

/** What is known of a message beside its content. */
export interface BroadcastInfo {
  /** Id of the node that published it. */
  readonly from: string
  /** Log index of a durable message; null for any other. */
  readonly index: number | null
}

/** Who listens to a topic. Both are called one after the other, in the order in which messages came. Must not throw. */
export interface BroadcastListener<Message = unknown> {
  /** A message has come. It is the listener's own copy. */
  readonly message: (message: Message, info: BroadcastInfo) => void
  /** Messages may be missing: what was made of earlier ones is not to be trusted. A cache is emptied here. */
  readonly lost: () => void
}

type Item =
  | { readonly kind: 'message', readonly text: string, readonly info: BroadcastInfo }
  | { readonly kind: 'lost' }

/** What a {@link BroadcastChannel} works with. */
interface ChannelParts {
  readonly topic: string
  readonly timers: Timers
  readonly logger: Logger
}

/** The subscribers of one topic on this node. */
export class BroadcastChannel {
  readonly #parts: ChannelParts
  readonly #subscribers = new Set<Subscriber>()

  constructor (parts: ChannelParts) {
    this.#parts = parts
  }

  get hasSubscribers (): boolean {
    return this.#subscribers.size > 0
  }

  /** The function returned ends the subscription: nothing is called after it. */
  subscribe (listener: BroadcastListener): () => void {
    const subscriber = new Subscriber(this.#parts, listener)
    this.#subscribers.add(subscriber)
    return () => {
      this.#subscribers.delete(subscriber)
      subscriber.end()
    }
  }

  /** `text`: the message as JSON. */
  deliver (text: string, info: BroadcastInfo): void {
    for (const subscriber of this.#subscribers) subscriber.push({ kind: 'message', text, info })
  }

  /** Messages may be missing. */
  lost (): void {
    for (const subscriber of this.#subscribers) subscriber.push({ kind: 'lost' })
  }

  close (): void {
    for (const subscriber of this.#subscribers) subscriber.end()
    this.#subscribers.clear()
  }
}

/** One listener and what waits for it. It is called in turns of its own, never within the code that applies the log. */
class Subscriber {
  readonly #parts: ChannelParts
  readonly #listener: BroadcastListener
  #queue: Item[] = []
  #isDue = false
  #hasEnded = false

  constructor (parts: ChannelParts, listener: BroadcastListener) {
    this.#parts = parts
    this.#listener = listener
  }

  push (item: Item): void {
    if (this.#queue.length >= maxQueuedMessages) this.#queue = [{ kind: 'lost' }]
    else if (item.kind === 'message' || this.#queue.at(-1)?.kind !== 'lost') this.#queue.push(item)
    if (this.#isDue) return
    this.#isDue = true
    this.#parts.timers.soon(() => { this.#drain() })
  }

  end (): void {
    this.#hasEnded = true
    this.#queue = []
  }

  #drain (): void {
    this.#isDue = false
    for (const item of this.#queue.splice(0)) {
      if (this.#hasEnded) return
      this.#tell(item)
    }
  }

  #tell (item: Item): void {
    try {
      if (item.kind === 'message') this.#listener.message(JSON.parse(item.text), item.info)
      else this.#listener.lost()
    } catch (err) {
      const { logger, topic } = this.#parts
      logger.error({ err, topic }, 'a listener of a broadcast threw')
    }
  }
}
