import type { Message } from '../core/index.ts'
import type { AnswerCollector } from './response-collector.ts'

interface Deferred {
  readonly until: number
  readonly message: Message
  /** Collects the message for an HTTP response; null when the message travels on its own. */
  readonly collector: AnswerCollector | null
}

/** Holds messages that promise durability until the write is synced. */
export class DeferredMessages {
  #held: Deferred[] = []
  #durableWriteId = 0

  /**
   * Holds messages until the write with this id is durable; returns those that may be sent on their own at once.
   */
  hold (messages: readonly Message[], until: number, collector: AnswerCollector | null): readonly Message[] {
    if (messages.length === 0) return messages
    if (until <= this.#durableWriteId) return messages.filter((message) => collector?.take(message) !== true)
    for (const message of messages) {
      this.#held.push({ until, message, collector: collector?.expect(message) === true ? collector : null })
    }
    return []
  }

  /** This write and all earlier ones are durable; returns the messages that now travel on their own. */
  release (writeId: number): readonly Message[] {
    this.#durableWriteId = Math.max(this.#durableWriteId, writeId)
    const ready = this.#held.filter(({ until }) => until <= this.#durableWriteId)
    if (ready.length === 0) return []
    this.#held = this.#held.filter(({ until }) => until > this.#durableWriteId)
    return ready.filter(({ message, collector }) => collector?.release(message) !== true).map(({ message }) => message)
  }

  /** Drops all messages because the node stops: the requests that wait for an answer fail with this reason. */
  abandon (reason: Error): void {
    for (const { collector } of this.#held) collector?.fail(reason)
    this.#held = []
  }
}
