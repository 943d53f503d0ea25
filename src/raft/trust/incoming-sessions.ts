import type { NodeId } from '../core/index.ts'
import { MisdirectedError, OtherSecretError, PeerSessionError, UnauthenticatedError } from '../errors.ts'
import type { SessionKeys } from './handshake.ts'
import { decodeHello, encodeWelcome } from './handshake.ts'
import { ReplayWindow } from './replay-window.ts'
import { isSameMac, sealOf } from './seal.ts'
import { formatMac, parseClaim } from './seal-field.ts'
import type { Secrets } from './secret.ts'

/** Most sessions of one sender: one that restarts opens another. */
const maxSessionsOfSender = 16
/** Most senders with sessions: members of now and of before, and nodes that join. */
const maxSenders = 64

interface Session extends SessionKeys {
  readonly from: NodeId
  readonly window: ReplayWindow
  /** The hello that opened it. */
  readonly hello: Buffer
  /** Whether its sender has shown that it has the key. A hello that is played back makes a session that nobody uses. */
  isInUse: boolean
}

/** A request whose sender is proven. */
interface ProvenRequest {
  readonly from: NodeId
  /** The field that proves the answer. */
  readonly sealAnswer: (statusCode: number, body: Uint8Array) => string
}

interface IncomingSessionsOptions {
  readonly clusterId: string
  readonly nodeId: NodeId
  readonly secrets: Secrets
}

/** The sessions that peers have opened with this node. Bounded: past the bounds those unused or oldest end. */
export class IncomingSessions {
  readonly #options: IncomingSessionsOptions
  /** Per sender, oldest first; the sender that opened one last stands last. */
  readonly #sessions = new Map<NodeId, Session[]>()
  readonly #byId = new Map<string, Session>()

  constructor (options: IncomingSessionsOptions) {
    this.#options = options
  }

  /**
   * Answers a hello. Throws `RAFT_OTHER_SECRET` when its sender knows no secret of this node, `RAFT_MISDIRECTED` when
   * it means another node or cluster, `RAFT_MALFORMED_MESSAGE` for what is no hello, `RAFT_UNAUTHENTICATED` when it has
   * opened a session that is still kept: one hello, played back over and over, takes the place of one session, and ends
   * none that its sender has just opened.
   */
  welcome (hello: Uint8Array): Buffer {
    const { clusterId, nodeId, secrets } = this.#options
    const { pair, secret } = decodeHello(hello, secrets.current)
    if (secret === null) throw new OtherSecretError(pair.from, nodeId)
    if (pair.clusterId !== clusterId) throw new MisdirectedError(`a message of cluster ${pair.clusterId}`)
    if (pair.to !== nodeId) throw new MisdirectedError(`a message for node ${pair.to}`)
    if (this.#sessions.get(pair.from)?.some((known) => known.hello.equals(hello)) === true) {
      throw new UnauthenticatedError('its hello was sent before')
    }
    const { welcome, session } = encodeWelcome(hello, secret)
    const { from } = pair
    this.#add({ ...session, from, window: new ReplayWindow(), hello: Buffer.from(hello), isInUse: false })
    return welcome
  }

  /**
   * Whose session the field of a request names, before its body is worth reading. Throws `RAFT_UNAUTHENTICATED` when
   * there is none, `RAFT_PEER_SESSION` when the session is not known (any more): then the sender opens another.
   */
  claimedSender (field: unknown): NodeId {
    return this.#claimed(field).session.from
  }

  /** Proves a request. Throws as {@link IncomingSessions.claimedSender}, and when the MAC or the counter is wrong. */
  prove (field: unknown, path: string, body: Uint8Array): ProvenRequest {
    const { session, counter, mac } = this.#claimed(field)
    if (!isSameMac(sealOf(session.key, { kind: 'request', counter, path }, body), mac)) {
      throw new UnauthenticatedError('its seal does not fit')
    }
    // Only now: what is not proven must not use up a counter.
    if (!session.window.accept(counter)) throw new UnauthenticatedError('it was sent before')
    session.isInUse = true
    return {
      from: session.from,
      sealAnswer: (statusCode, answer) =>
        formatMac(sealOf(session.key, { kind: 'answer', counter, path, statusCode }, answer))
    }
  }

  #claimed (field: unknown): { readonly session: Session, readonly counter: number, readonly mac: Buffer } {
    const claim = parseClaim(field)
    if (claim === null) throw new UnauthenticatedError('it carries no seal')
    const session = this.#byId.get(claim.sessionId)
    if (session === undefined) throw new PeerSessionError(this.#options.nodeId)
    if (!this.#options.secrets.current.includes(session.secret)) {
      this.#remove(session)
      throw new PeerSessionError(this.#options.nodeId)
    }
    return { session, counter: claim.counter, mac: claim.mac }
  }

  #add (session: Session): void {
    const own = this.#sessions.get(session.from) ?? []
    if (own.length >= maxSessionsOfSender) {
      const unused = own.find(({ isInUse }) => !isInUse) ?? own[0]
      if (unused !== undefined) this.#remove(unused)
    }
    this.#sessions.delete(session.from)
    const [oldest] = this.#sessions.values()
    if (this.#sessions.size >= maxSenders) for (const old of [...oldest ?? []]) this.#remove(old)
    this.#sessions.set(session.from, [...own.filter(({ id }) => this.#byId.has(id)), session])
    this.#byId.set(session.id, session)
  }

  #remove (session: Session): void {
    this.#byId.delete(session.id)
    const left = (this.#sessions.get(session.from) ?? []).filter((other) => other !== session)
    if (left.length === 0) this.#sessions.delete(session.from)
    else this.#sessions.set(session.from, left)
  }
}
