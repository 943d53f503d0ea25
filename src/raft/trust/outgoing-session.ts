import type { Pair, SessionKeys } from './handshake.ts'
import { encodeHello, openWelcome } from './handshake.ts'
import { isSameMac, sealOf } from './seal.ts'
import { formatClaim, parseMac } from './seal-field.ts'
import type { Secrets } from './secret.ts'

/** A request with its proof, and what proves the answer. */
export interface SealedRequest {
  readonly sessionId: string
  readonly field: string
  /** Whether an answer comes from the peer, and belongs to this request. */
  readonly isProven: (field: unknown, statusCode: number, body: Uint8Array) => boolean
}

/** A hello that waits for its welcome. */
interface Hello {
  readonly body: Buffer
  /** Opens the session; false when the peer does not prove that it knows the secret. */
  readonly welcomed: (welcome: Uint8Array) => boolean
}

/** The session of this node with one peer. */
export class OutgoingSession {
  readonly #pair: Pair
  readonly #secrets: Secrets
  /** Which of the secrets the next hello uses: the peer may not have the first one yet. */
  #attempt = 0
  #session: SessionKeys | null = null
  #counter = 0

  constructor (pair: Pair, secrets: Secrets) {
    this.#pair = pair
    this.#secrets = secrets
  }

  get isOpen (): boolean {
    return this.#session !== null && this.#secrets.current.includes(this.#session.secret)
  }

  /** Begins a handshake. */
  hello (): Hello {
    const { current } = this.#secrets
    const secret = current[this.#attempt % current.length]
    if (secret === undefined) throw new Error('a node that authenticates its peers has a secret')
    const body = encodeHello(this.#pair, secret)
    return {
      body,
      welcomed: (welcome) => {
        this.#session = openWelcome(body, welcome, secret)
        this.#counter = 0
        return this.#session !== null
      }
    }
  }

  /** The peer does not know the secret of the last hello: the next one takes the next secret. */
  useNextSecret (): void {
    this.#attempt++
  }

  /** The peer has forgotten the session of this request. Another one that was opened meanwhile goes on. */
  end ({ sessionId }: SealedRequest): void {
    if (this.#session?.id === sessionId) this.#session = null
  }

  /** Only while it is open. */
  seal (path: string, body: Uint8Array): SealedRequest {
    const session = this.#session
    if (session === null) throw new Error('the session is not open')
    const counter = ++this.#counter
    return {
      sessionId: session.id,
      field: formatClaim(session.id, counter, sealOf(session.key, { kind: 'request', counter, path }, body)),
      isProven: (field, statusCode, answer) => {
        const given = parseMac(field)
        const expected = sealOf(session.key, { kind: 'answer', counter, path, statusCode }, answer)
        return given !== null && isSameMac(expected, given)
      }
    }
  }
}
