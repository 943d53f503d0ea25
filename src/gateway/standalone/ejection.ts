/** Options of an {@link Ejection}. Durations are milliseconds. */
interface EjectionOptions {
  /** Failures in a row after which a node is ejected. */
  readonly afterFailures: number
  /** How long it is left alone then; doubled each time until it has answered a request. */
  readonly ejectMs: number
  readonly nowMs: () => number
}

/** Times an ejection is doubled at most. */
const maxDoublings = 5

interface Record {
  failures: number
  ejections: number
  untilMs: number
}

/**
 * Passive health checks: a node whose requests fail several times in a row is left alone for a while, also when it
 * answers probes. A single failure is for the probes to judge.
 */
export class Ejection {
  readonly #options: EjectionOptions
  /** Of nodes that have failed since they last answered a request. */
  readonly #records = new Map<string, Record>()
  /** How often a node was ejected. */
  count = 0

  constructor (options: EjectionOptions) {
    this.#options = options
  }

  answered (url: string): void {
    this.#records.delete(url)
  }

  failed (url: string): void {
    const { afterFailures, ejectMs, nowMs } = this.#options
    const record = this.#records.get(url) ?? { failures: 0, ejections: 0, untilMs: 0 }
    this.#records.set(url, record)
    record.failures++
    // Once it was ejected, one more failure says that nothing has changed.
    if (record.failures < afterFailures && record.ejections === 0) return
    if (nowMs() < record.untilMs) return
    record.untilMs = nowMs() + ejectMs * 2 ** Math.min(record.ejections, maxDoublings)
    record.ejections++
    this.count++
  }

  /** A node that is followed no more. */
  forget (url: string): void {
    this.#records.delete(url)
  }

  isEjected (url: string): boolean {
    const record = this.#records.get(url)
    return record !== undefined && this.#options.nowMs() < record.untilMs
  }

  /** Those that are not ejected; all of them when each is: a bad node is better than none. */
  admitted (urls: readonly string[]): readonly string[] {
    if (this.#records.size === 0) return urls
    const admitted = urls.filter((url) => !this.isEjected(url))
    return admitted.length === 0 ? urls : admitted
  }
}
