import { ClockReadings } from '../runtime/clock-readings.ts'
import { KnownNonces } from './known-nonces.ts'
import { Nonce } from './nonce.ts'

/**
 * The nonce of this node, and those that its peers told with the messages that they sent: every member which hears a
 * leader knows that leader's.
 */
export class MemberNonces {
  readonly #nodeId: string
  readonly #told = new KnownNonces()
  /** What their clocks showed, as they told with the same messages. */
  readonly clocks: ClockReadings
  #own = Nonce.draw()

  constructor (nodeId: string, nowMs?: () => number) {
    this.#nodeId = nodeId
    this.clocks = new ClockReadings(nowMs)
  }

  get own (): Nonce {
    return this.#own
  }

  /** What this node tells its peers. */
  get ownBytes (): Uint8Array {
    return this.#own.bytes
  }

  /** Ends everything that was proven to this node with the nonce of before. */
  drawAnew (): void {
    this.#own = Nonce.draw()
  }

  /** Takes what a member has sent along with its messages; ignores what is no nonce. */
  learn (from: string, bytes: Uint8Array): void {
    // Heard with every message, and hardly ever news.
    if (this.#told.of(from)?.bytes.equals(bytes) === true) return
    const nonce = Nonce.read(bytes)
    if (nonce !== null) this.#told.learn(from, nonce)
  }

  /** The nonce of a node; null while it has not told it. */
  of (nodeId: string): Nonce | null {
    return nodeId === this.#nodeId ? this.#own : this.#told.of(nodeId)
  }
}
