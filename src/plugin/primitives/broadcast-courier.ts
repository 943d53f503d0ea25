import { randomBytes } from 'node:crypto'
import type { Engine, Logger, PeerNotes } from '../../raft/index.ts'
import { MalformedMessageError } from '../../raft/index.ts'
import type { Timers } from '../../raft/internal.ts'
import { parseArray } from '../../raft/internal.ts'
import { isJson } from '../replicated/json-value.ts'
import { isIndex, isTopic } from '../replicated/validate.ts'

/** How long after a loss the other node is told of it, and again until it hears it. Milliseconds. */
const tellLossMs = 1_000
/** Senders that are remembered at most: members come and go. */
const maxSenders = 1_024

/** What a {@link BroadcastCourier} works with. */
interface CourierParts {
  readonly nodeId: string
  readonly engine: Pick<Engine, 'members'>
  readonly notes: PeerNotes
  readonly timers: Timers
  readonly logger: Logger
  /** A message of another node has come; `text` is JSON. */
  readonly received: (topic: string, text: string, from: string) => void
  /** Messages of another node may have been lost on their way here. */
  readonly lost: () => void
}

/** Which copies a message has reached, by their ids. */
export interface BroadcastReach {
  /** Ids of the members that have it, this one included. */
  readonly reached: readonly string[]
  /** Whether it came there is not known, or it surely did not. */
  readonly missed: readonly string[]
}

/**
 * Carries messages to all members, outside of the log: at once, once, and in the order of their sender. Each sender
 * numbers what it sends to each node, so that the receiver notices what is missing; and a node that could not be
 * reached is told so as soon as it can be.
 */
export class BroadcastCourier {
  readonly #parts: CourierParts
  /** Numbers begin anew with each start of a sender, and this tells its starts apart. */
  readonly #startId = randomBytes(8).toString('hex')
  readonly #sent = new Map<string, number>()
  readonly #heard = new Map<string, { readonly startId: string, readonly number: number }>()
  /** Nodes that have lost something and do not know it yet, with what cancels the next attempt to tell them. */
  readonly #owed = new Map<string, () => void>()

  constructor (parts: CourierParts) {
    this.#parts = parts
    parts.notes.listen((from, note) => { this.#take(from, note) })
  }

  /** Sends to all other members. Never rejects. */
  async publish (topic: string, text: string): Promise<BroadcastReach> {
    const { nodeId, engine } = this.#parts
    const others = engine.members().map(({ id }) => id).filter((id) => id !== nodeId)
    const arrived = await Promise.all(others.map(async (id) => {
      const error = await this.#send(id, topic, text)
      if (error !== null) this.#owe(id, error)
      return error === null
    }))
    return {
      reached: [nodeId, ...others.filter((_, at) => arrived[at])],
      missed: others.filter((_, at) => arrived[at] !== true)
    }
  }

  close (): void {
    for (const cancel of this.#owed.values()) cancel()
    this.#owed.clear()
  }

  /** Resolves with the reason why it may not have arrived; null when it has. */
  async #send (to: string, ...content: readonly string[]): Promise<unknown> {
    const number = (this.#sent.get(to) ?? 0) + 1
    this.#sent.set(to, number)
    try {
      await this.#parts.notes.send(to, Buffer.from(JSON.stringify([this.#startId, number, ...content])))
      return null
    } catch (error) {
      return error
    }
  }

  #owe (id: string, err: unknown): void {
    if (this.#owed.has(id)) return
    this.#parts.logger.warn({ err, to: id }, 'a broadcast did not reach a copy: it is told when it can be reached')
    this.#tellLater(id)
  }

  #tellLater (id: string): void {
    const tell = (): void => { this.#tell(id).catch((err: unknown) => { this.#owe(id, err) }) }
    this.#owed.set(id, this.#parts.timers.after(tellLossMs, tell, { background: true }))
  }

  /** The number of what it is sent now shows the other node that something before is missing. */
  async #tell (id: string): Promise<void> {
    const isMember = this.#parts.engine.members().some((member) => member.id === id)
    const error = isMember ? await this.#send(id) : null
    if (!this.#owed.has(id)) return
    if (error === null) this.#owed.delete(id)
    else this.#tellLater(id)
  }

  #take (from: string, note: Uint8Array): void {
    const fields = parseArray(Buffer.from(note).toString('utf8')) ?? []
    const [startId, number, topic, text] = fields
    const hasContent = fields.length === 4
    if (typeof startId !== 'string' || !isIndex(number) || (!hasContent && fields.length !== 2)) throw malformed()
    if (hasContent && (!isTopic(topic) || typeof text !== 'string' || !isJson(text))) throw malformed()
    this.#notice(from, startId, number as number)
    if (hasContent) this.#parts.received(topic as string, text as string, from)
  }

  #notice (from: string, startId: string, number: number): void {
    const heard = this.#heard.get(from)
    // A sender that was started anew may have ended before it could tell what its last messages missed.
    const follows = heard === undefined ? number === 1 : heard.startId === startId && number === heard.number + 1
    if (this.#heard.size >= maxSenders && heard === undefined) this.#heard.clear()
    this.#heard.set(from, { startId, number })
    if (!follows) this.#parts.lost()
  }
}

function malformed (): Error {
  return new MalformedMessageError('a broadcast of an unknown form')
}
