import { type KeyObject, randomBytes } from 'node:crypto'
import type { Nonce } from './nonce.ts'
import type { ProofClaim, ProofRole, ProvenParts } from './proof.ts'
import { claimText, macOfAnswer, macOfRefusal, macOfRequest, proofStart, withMacs } from './proof.ts'
import { isSameMac } from './seal.ts'
import { formatMac, parseMac } from './seal-field.ts'
import type { GatewaySecrets, Secrets } from './secret.ts'
import { isSameMacText } from './text-mac.ts'

/** Random bytes that tell the requests of one start from those of every other: nobody guesses them. */
const startIdBytes = 16

/** The keys to prove with; null where there is no secret, and the nonce of the receiver is the key. */
type BaseKeys = () => readonly KeyObject[] | null

/** A proof on its way. */
export interface SentProof {
  readonly field: string
  /** Whether an answer comes from the node whose nonce the proof was made with, and belongs to this request. */
  readonly isAnswered: (field: unknown, statusCode: number, body: Uint8Array | string) => boolean
  /**
   * Whether a text that says that the request was not executed comes from a node that has taken the proof, so that it
   * neither has executed the request nor will. A request without a MAC asks for the nonce, and is executed by nobody.
   * Without a secret nobody can prove it.
   */
  readonly isRefused: (refusal: string, field: unknown) => boolean
}

/** Names the requests that this process sends to nodes, and proves that it sent them. */
export class Prover {
  readonly #baseKeys: BaseKeys
  readonly #start: string
  readonly #startId = randomBytes(startIdBytes).toString('hex')
  #counter = 0

  private constructor (role: ProofRole, from: string, baseKeys: BaseKeys) {
    this.#start = proofStart(role, from)
    this.#baseKeys = baseKeys
  }

  /** Without a secret a member proves with what nodes tell their peers alone. */
  static ofMember (nodeId: string, secrets: Secrets | null): Prover {
    return new Prover('member', nodeId, () => secrets === null ? null : secrets.current.map(({ callKey }) => callKey))
  }

  /** Without a secret it proves nothing. */
  static ofGateway (name: string, secrets: GatewaySecrets | null): Prover {
    return new Prover('gateway', name, () => secrets?.current.map(({ gatewayKey }) => gatewayKey) ?? [])
  }

  /** A name for one request, never given before. */
  nextId (): string {
    return `${this.#startId}-${++this.#counter}`
  }

  /**
   * Proves a request to the node that told the nonce, once by each secret. While the nonce is not known, asks for it.
   * Null when there is nothing to prove with.
   */
  prove (nonce: Nonce | null, parts: ProvenParts, claim: Omit<ProofClaim, 'role' | 'from'>): SentProof | null {
    const base = this.#baseKeys()
    if (base?.length === 0 || (base === null && nonce === null)) return null
    const keys = nonce === null ? [] : (base ?? [null]).map((key) => nonce.keyOf(key))
    const text = claimText(this.#start, claim, nonce?.name ?? '')
    return {
      field: withMacs(text, keys.map(({ key, name }) => ({ keyName: name, mac: macOfRequest(key, parts, text) }))),
      isAnswered: (field, statusCode, body) => {
        const given = parseMac(field)
        return given !== null &&
          keys.some(({ key }) => isSameMac(macOfAnswer(key, parts, claim.id, statusCode, body), given))
      },
      isRefused: (refusal, field) => {
        if (base === null || keys.length === 0) return true
        return typeof field === 'string' &&
          keys.some(({ key }) => isSameMacText(macOfRefusal(key, parts, refusal), field))
      }
    }
  }
}

/** The field that proves the answer to a proven request. */
export function proveAnswer (...answer: Parameters<typeof macOfAnswer>): string {
  return formatMac(macOfAnswer(...answer))
}
