import { createHash, createSecretKey, type KeyObject, randomBytes } from 'node:crypto'
import { macOf } from './seal.ts'

/** Bytes of a nonce. */
const nonceBytes = 32
/** Bytes of a name: nothing hangs on it but which refusal is given. */
const nameBytes = 6

/** A key for proofs, and the name by which a receiver finds it. */
export interface ProofKey {
  readonly key: KeyObject
  readonly name: string
}

/**
 * Random bytes that a node draws at its start: what is proven to that node is proven with a key made from them, so that
 * no proof counts at another node, or after the next start.
 */
export class Nonce {
  readonly bytes: Buffer
  /** Names the nonce, and tells nothing about it. */
  readonly name: string
  readonly #own: ProofKey
  /** By the key that they were made with: each is asked for with every request. */
  readonly #made = new WeakMap<KeyObject, ProofKey>()

  private constructor (bytes: Buffer) {
    this.bytes = bytes
    this.name = nameOf(createHash('sha256').update(bytes).digest())
    this.#own = proofKey(createSecretKey(bytes))
  }

  static draw (): Nonce {
    return new Nonce(randomBytes(nonceBytes))
  }

  /** The nonce that another node told; null for what is none. Copies the bytes. */
  static read (bytes: Uint8Array): Nonce | null {
    return bytes.byteLength === nonceBytes ? new Nonce(Buffer.from(bytes)) : null
  }

  /** The nonce in a field, as {@link Nonce.text} writes it; null for anything else. */
  static parse (text: unknown): Nonce | null {
    return typeof text === 'string' && /^[\w-]{43}$/.test(text) ? Nonce.read(Buffer.from(text, 'base64url')) : null
  }

  /** For a field. Only where there is a secret: else the nonce is the key. */
  get text (): string {
    return this.bytes.toString('base64url')
  }

  equals (other: Nonce): boolean {
    return this.bytes.equals(other.bytes)
  }

  /** The key that follows from the nonce and a key of the secret; with null, where there is none, the nonce itself. */
  keyOf (base: KeyObject | null): ProofKey {
    if (base === null) return this.#own
    const known = this.#made.get(base)
    if (known !== undefined) return known
    const made = proofKey(createSecretKey(macOf(base, 'nonce\n', this.bytes)))
    this.#made.set(base, made)
    return made
  }
}

function proofKey (key: KeyObject): ProofKey {
  return { key, name: nameOf(macOf(key, 'name\n')) }
}

function nameOf (bytes: Buffer): string {
  return bytes.subarray(0, nameBytes).toString('base64url')
}
