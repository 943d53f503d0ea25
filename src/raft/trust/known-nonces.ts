import type { Nonce } from './nonce.ts'

/** Nodes whose nonces are kept at most: a node that knows no members yet hears anybody. */
const maxKnown = 256

/** The nonces that other nodes have told, by their ids or URLs. Bounded: past that the oldest goes. */
export class KnownNonces {
  readonly #known = new Map<string, Nonce>()

  of (node: string): Nonce | null {
    return this.#known.get(node) ?? null
  }

  learn (node: string, nonce: Nonce): void {
    if (this.#known.get(node)?.equals(nonce) === true) return
    this.#known.delete(node)
    const [oldest] = this.#known.keys()
    if (oldest !== undefined && this.#known.size >= maxKnown) this.#known.delete(oldest)
    this.#known.set(node, nonce)
  }
}
