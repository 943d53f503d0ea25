import type { KeyObject } from 'node:crypto'
import { OtherSecretError, PeerSessionError, UnauthenticatedError } from '../errors.ts'
import type { MemberNonces } from './member-nonces.ts'
import type { ProofKey } from './nonce.ts'
import { Nonce } from './nonce.ts'
import type { ProofClaim, ProofRole, ProvenParts, ReadProof } from './proof.ts'
import { macOfRefusal, macOfRequest, readProof } from './proof.ts'
import { proveAnswer } from './prover.ts'
import { ReplayWindow } from './replay-window.ts'
import type { Secrets } from './secret.ts'
import { isSameMacText } from './text-mac.ts'

/**
 * How far a request may be overtaken by others of its sender, and still be accepted: several times as many as a node
 * forwards at once by default. Two kilobytes for each sender.
 */
const windowWidth = 16_384
/**
 * Most starts of senders of one role that are kept. Past them a new nonce is drawn, and all senders of that role begin
 * anew with that.
 */
const maxSenders = 256

/** A request that is proven. */
export interface ProvenRequest {
  readonly claim: ProofClaim
  /** The field that proves the answer to it. */
  readonly proveAnswer: (statusCode: number, body: Uint8Array | string) => string
  /** The MAC of a text that says it was not executed; only for a request that will not be. */
  readonly proveRefusal: (refusal: string) => string
}

interface VerifierOptions {
  readonly nodeId: string
  /** Null: there is no secret, and members prove with the nonce alone. */
  readonly secrets: Secrets | null
  readonly nonces: MemberNonces
}

/** Judges proofs that are meant for this node, and takes each once. */
export class Verifier {
  readonly #options: VerifierOptions
  /** What was used already, by the start of the sender. Only of senders that have proven something. */
  readonly #used: Readonly<Record<ProofRole, Map<string, ReplayWindow>>> = { member: new Map(), gateway: new Map() }
  /** What gateways prove with. Not that of members: a gateway could make those begin anew, over and over. */
  #ofGateways = Nonce.draw()

  constructor (options: VerifierOptions) {
    this.#options = options
  }

  /** Whether those who belong can prove it: then what comes as theirs has to be proven. */
  get expectsProof (): boolean {
    return this.#options.secrets !== null
  }

  /** What to tell senders of a role in {@link nonceField}; null where there is no secret. */
  tellsNonce (role: ProofRole): string | null {
    return this.#options.secrets === null ? null : this.#nonceOf(role).text
  }

  /**
   * Judges the proof of a request. Throws `RAFT_PEER_SESSION` when it was made with another nonce than that of now:
   * its sender learns it and sends the request again; `RAFT_OTHER_SECRET` when its sender knows no secret of this node;
   * `RAFT_UNAUTHENTICATED` when it does not fit the request, or was used before.
   */
  verify (value: string, parts: ProvenParts): ProvenRequest {
    const proof = readProof(value)
    if (proof === null) throw new UnauthenticatedError('its proof cannot be read')
    const { claim, text } = proof
    if (proof.nonceName !== this.#nonceOf(claim.role).name) throw new PeerSessionError(this.#options.nodeId)
    const { key, mac } = this.#usedKey(proof)
    if (!isSameMacText(macOfRequest(key, parts, text), mac)) {
      throw new UnauthenticatedError('its proof does not fit the request')
    }
    // Only now: what is not proven must not use up a counter.
    if (!this.#useOnce(proof)) throw new UnauthenticatedError('it was sent before')
    return {
      claim,
      proveAnswer: (statusCode, body) => proveAnswer(key, parts, claim.id, statusCode, body),
      proveRefusal: (refusal) => macOfRefusal(key, parts, refusal)
    }
  }

  #usedKey ({ claim: { role, from }, macs }: ReadProof): { readonly key: KeyObject, readonly mac: string } {
    for (const { key, name } of this.#keysOf(role)) {
      const named = macs.find(({ keyName }) => keyName === name)
      if (named !== undefined) return { key, mac: named.mac }
    }
    if (this.#options.secrets === null) throw new UnauthenticatedError('its proof is made with no key of this node')
    throw new OtherSecretError(from, this.#options.nodeId)
  }

  #keysOf (role: ProofRole): readonly ProofKey[] {
    const { secrets } = this.#options
    const nonce = this.#nonceOf(role)
    if (secrets === null) return role === 'member' ? [nonce.keyOf(null)] : []
    return secrets.current.map(({ callKey, gatewayKey }) => nonce.keyOf(role === 'member' ? callKey : gatewayKey))
  }

  #nonceOf (role: ProofRole): Nonce {
    return role === 'member' ? this.#options.nonces.own : this.#ofGateways
  }

  #useOnce ({ claim: { role }, startId, counter }: ReadProof): boolean {
    // A gateway must not use up the counters of a member.
    const used = this.#used[role]
    let window = used.get(startId)
    if (window === undefined) {
      if (used.size >= maxSenders) {
        used.clear()
        this.#drawAnew(role)
        throw new PeerSessionError(this.#options.nodeId)
      }
      window = new ReplayWindow(windowWidth)
      used.set(startId, window)
    }
    return window.accept(counter)
  }

  #drawAnew (role: ProofRole): void {
    if (role === 'member') this.#options.nonces.drawAnew()
    else this.#ofGateways = Nonce.draw()
  }
}
