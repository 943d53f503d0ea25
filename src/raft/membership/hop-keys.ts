import type { KeyObject } from 'node:crypto'
import { createSecretKey, randomBytes } from 'node:crypto'
import type { NodeId } from '../core/index.ts'
import type { HopKeyring } from '../transport/transport.ts'

const keyBytes = 32
/** Peers whose keys are kept at most: a node that knows no members yet hears anybody. */
const maxTold = 256

/** The key that a peer told, in both forms. */
interface ToldKey {
  readonly bytes: Buffer
  readonly key: KeyObject
}

/**
 * The keys that members prove forwarded requests with. Each node draws its own at its start and tells it to its peers
 * with the messages that it sends them, so that every member which hears a leader knows that leader's key.
 */
export class HopKeys implements HopKeyring {
  readonly own: Buffer = randomBytes(keyBytes)
  readonly #nodeId: NodeId
  readonly #ownKey = createSecretKey(this.own)
  readonly #told = new Map<string, ToldKey>()

  constructor (nodeId: NodeId) {
    this.#nodeId = nodeId
  }

  learn (from: NodeId, bytes: Uint8Array): void {
    if (bytes.byteLength !== keyBytes || this.#told.get(from)?.bytes.equals(bytes) === true) return
    // Copied out of the request's body.
    const copy = Buffer.from(bytes)
    this.#told.delete(from)
    const [oldest] = this.#told.keys()
    if (oldest !== undefined && this.#told.size >= maxTold) this.#told.delete(oldest)
    this.#told.set(from, { bytes: copy, key: createSecretKey(copy) })
  }

  /** The key of a node; null while it has not told it. */
  of (id: string): KeyObject | null {
    return id === this.#nodeId ? this.#ownKey : this.#told.get(id)?.key ?? null
  }
}
