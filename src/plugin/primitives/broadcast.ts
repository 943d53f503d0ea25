import type { PeerNotes, WaitOptions } from '../../raft/index.ts'
import { InvalidOptionsError, TooLargeError } from '../../raft/index.ts'
import { systemTimers } from '../../raft/internal.ts'
import { jsonFault } from '../replicated/json-value.ts'
import { limits } from '../replicated/limits.ts'
import { byteLength, isTopic } from '../replicated/validate.ts'
import type { BroadcastListener } from './broadcast-channel.ts'
import { BroadcastChannel } from './broadcast-channel.ts'
import type { BroadcastReach } from './broadcast-courier.ts'
import { BroadcastCourier } from './broadcast-courier.ts'
import type { PrimitiveContext } from './context.ts'
import { proposeBroadcast } from './propose.ts'

/** Options of a topic. */
export interface BroadcastOptions {
  /**
   * Whether messages go through the log: then each copy sees each of them once in its life, in the same order
   * everywhere, from where its log is. Default false: they are sent at once and once, and what does not arrive is lost.
   * Messages of one kind never meet those of the other.
   */
  readonly durable?: boolean | undefined
}

/** What has become of a published message. */
export type BroadcastPublished =
  /** It was sent: `reached` are the copies that have it, this one included. */
  | ({ readonly kind: 'sent' } & BroadcastReach)
  /** It is in the log at this index, and every copy comes to it. */
  | { readonly kind: 'durable', readonly index: number }

/** A topic of which all copies hear. */
export interface ClusterBroadcast<Message = unknown> {
  /** Name of the topic, as it was asked for. */
  readonly topic: string
  /** Whether messages go through the log. */
  readonly durable: boolean
  /**
   * Sends a message, JSON of at most 65,536 bytes, to all copies: this one hears it as well. One that is not durable is
   * sent whether the cluster has a leader or not, and the options do not count for it.
   *
   * Rejects with `RAFT_INVALID_OPTIONS` for what is not JSON and with `RAFT_TOO_LARGE`; a durable one also as writes of
   * a map do, with `RAFT_OUTCOME_UNKNOWN` when it may have been published.
   */
  readonly publish: (message: Message, options?: WaitOptions) => Promise<BroadcastPublished>
  /** Hears all messages from now on, and when some may be missing. The function returned ends that. */
  readonly subscribe: (listener: BroadcastListener<Message>) => () => void
}

/** A channel, and up to which message of the log it is told. */
interface DurableChannel {
  readonly channel: BroadcastChannel
  seenIndex: number
}

/** The topics of one node. */
export class Broadcasts {
  readonly #context: PrimitiveContext
  readonly #nodeId: string
  readonly #sent = new Map<string, BroadcastChannel>()
  readonly #durable = new Map<string, DurableChannel>()
  readonly #courier: BroadcastCourier | null
  readonly #unsubscribe: ReadonlyArray<() => void>

  /** `notes` reaches other nodes; null where there are none. */
  constructor (context: PrimitiveContext, nodeId: string, notes: PeerNotes | null) {
    const { engine, machine, logger, timers = systemTimers } = context
    this.#context = context
    this.#nodeId = nodeId
    this.#courier = notes === null
      ? null
      : new BroadcastCourier({
        nodeId,
        engine,
        notes,
        timers,
        logger,
        received: (topic, text, from) => { this.#sent.get(topic)?.deliver(text, { from, index: null }) },
        lost: () => { for (const channel of this.#sent.values()) channel.lost() }
      })
    this.#unsubscribe = [
      machine.onPublished(({ topic, from, message, index }) => {
        const known = this.#durable.get(topic)
        if (known === undefined) return
        known.seenIndex = index
        if (known.channel.hasSubscribers) known.channel.deliver(JSON.stringify(message), { from, index })
      }),
      machine.onRestore(() => { this.#restored() })
    ]
  }

  /** A handle on a topic. Throws `RAFT_INVALID_OPTIONS` for a name that is none. */
  topic<Message> (topic: string, { durable = false }: BroadcastOptions = {}): ClusterBroadcast<Message> {
    if (!isTopic(topic)) throw new InvalidOptionsError(`a topic has 1 to ${limits.maxTopicLength} characters`)
    return {
      topic,
      durable,
      publish: async (message, options = {}) => {
        const text = textOf(message)
        return durable ? await this.#propose(topic, message, options) : await this.#send(topic, text)
      },
      subscribe: (listener) => {
        const channel = durable ? this.#durableChannel(topic).channel : this.#sentChannel(topic)
        return channel.subscribe(listener as BroadcastListener)
      }
    }
  }

  /** Ends all subscriptions. */
  close (): void {
    for (const unsubscribe of this.#unsubscribe) unsubscribe()
    this.#courier?.close()
    for (const channel of this.#sent.values()) channel.close()
    for (const { channel } of this.#durable.values()) channel.close()
  }

  async #propose (topic: string, message: unknown, options: WaitOptions): Promise<BroadcastPublished> {
    const command = { kind: 'broadcast', topic, from: this.#nodeId, message } as const
    const { index } = await proposeBroadcast(this.#context, command, options)
    return { kind: 'durable', index }
  }

  async #send (topic: string, text: string): Promise<BroadcastPublished> {
    this.#sent.get(topic)?.deliver(text, { from: this.#nodeId, index: null })
    const reach = await this.#courier?.publish(topic, text) ?? { reached: [this.#nodeId], missed: [] }
    return { kind: 'sent', ...reach }
  }

  /** The state comes from a snapshot: messages that it covers are never applied here. */
  #restored (): void {
    for (const [topic, known] of this.#durable) {
      const lastIndex = this.#context.machine.broadcasts.lastIndexOf(topic)
      if (lastIndex > known.seenIndex) known.channel.lost()
      known.seenIndex = lastIndex
    }
  }

  #sentChannel (topic: string): BroadcastChannel {
    const channel = this.#sent.get(topic) ?? this.#createChannel(topic)
    this.#sent.set(topic, channel)
    return channel
  }

  #durableChannel (topic: string): DurableChannel {
    const known = this.#durable.get(topic) ?? {
      channel: this.#createChannel(topic),
      seenIndex: this.#context.machine.broadcasts.lastIndexOf(topic)
    }
    this.#durable.set(topic, known)
    return known
  }

  #createChannel (topic: string): BroadcastChannel {
    const { timers = systemTimers, logger } = this.#context
    return new BroadcastChannel({ topic, timers, logger })
  }
}

function textOf (message: unknown): string {
  const fault = jsonFault(message, { maxDepth: limits.maxValueDepth })
  if (fault?.reason === 'too-deep') {
    throw new TooLargeError(`The message nests deeper than ${limits.maxValueDepth} levels`)
  }
  if (fault !== null) throw new InvalidOptionsError(`the message is not JSON: ${fault.message}`)
  const text = JSON.stringify(message)
  const bytes = byteLength(text)
  if (bytes <= limits.maxBroadcastBytes) return text
  throw new TooLargeError(`The message has ${bytes} bytes; at most ${limits.maxBroadcastBytes} are allowed`)
}
