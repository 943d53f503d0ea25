import type { Message, NodeId } from '../core/index.ts'
import { isRequest } from '../core/index.ts'

/**
 * Gathers the answers of a node to one request of a peer, so that they travel in the HTTP response instead of in
 * requests of their own.
 */
export class AnswerCollector {
  readonly answers: Promise<readonly Message[]>
  readonly #peer: NodeId
  readonly #gathered: Message[] = []
  #awaited = 0
  #isComplete = false
  #resolve!: (answers: readonly Message[]) => void
  #reject!: (reason: Error) => void

  constructor (peer: NodeId) {
    this.#peer = peer
    this.answers = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
  }

  /** Adds a message that may be sent now; false when it is not an answer to this request. */
  take (message: Message): boolean {
    if (message.to !== this.#peer || !!isRequest(message) || this.#isComplete) return false
    this.#gathered.push(message)
    return true
  }

  /** Reserves a place for an answer that waits for the disk; false when the message has to travel on its own. */
  expect (message: Message): boolean {
    if (message.to !== this.#peer || !!isRequest(message)) return false
    this.#awaited++
    return true
  }

  /** Adds an answer whose write is durable. Always true: its place was reserved. */
  release (message: Message): boolean {
    this.#gathered.push(message)
    this.#awaited--
    this.#finish()
    return true
  }

  /** All messages of the request have been processed. */
  complete (): void {
    this.#isComplete = true
    this.#finish()
  }

  fail (reason: Error): void {
    this.#reject(reason)
  }

  #finish (): void {
    if (this.#isComplete && this.#awaited === 0) this.#resolve(this.#gathered)
  }
}
