import type { IncomingMessage } from 'node:http'

/** A request with what is kept on it, by a symbol that nobody else has. */
type Noted<T> = IncomingMessage & { [note: symbol]: T | undefined }

/**
 * What is kept of one kind with requests, on themselves: the garbage collector looks through a weak map with an entry
 * for each request, again and again.
 */
export class RequestNotes<T> {
  readonly #symbol: symbol

  /** `name`: what one who prints a request sees. */
  constructor (name: string) {
    this.#symbol = Symbol(`fastify-raft: ${name}`)
  }

  set (req: IncomingMessage, note: T): void {
    (req as Noted<T>)[this.#symbol] = note
  }

  /** Undefined for a request that has none. */
  of (req: IncomingMessage): T | undefined {
    return (req as Noted<T>)[this.#symbol]
  }
}
