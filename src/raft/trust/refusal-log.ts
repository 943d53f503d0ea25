import type { Logger } from '../runtime/logger.ts'

/** Pause between two lines of one code, in milliseconds. */
const pauseMs = 60_000

interface Counted {
  /** Refusals since the last line. */
  count: number
  loggedMs: number
}

/**
 * Says in the log what was refused, once a minute for each code with a count: a stranger cannot fill the log. Codes are
 * few, and ours.
 */
export class RefusalLog {
  readonly #logger: Logger
  readonly #nowMs: () => number
  readonly #byCode = new Map<string, Counted>()

  /** `nowMs`: a clock that never goes back. */
  constructor (logger: Logger, nowMs: () => number) {
    this.#logger = logger
    this.#nowMs = nowMs
  }

  add (error: Error & { readonly code: string }): void {
    const nowMs = this.#nowMs()
    const counted = this.#byCode.get(error.code) ?? { count: 0, loggedMs: -Infinity }
    counted.count++
    this.#byCode.set(error.code, counted)
    if (nowMs - counted.loggedMs < pauseMs) return
    this.#logger.error({ code: error.code, reason: error.message, count: counted.count }, 'a peer was refused')
    counted.count = 0
    counted.loggedMs = nowMs
  }
}
