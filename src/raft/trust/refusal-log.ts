import type { Logger } from '../runtime/logger.ts'
import type { Timers } from '../runtime/timers.ts'

/** Pause between two reports of one code, in milliseconds. */
const pauseMs = 60_000
/** Most addresses that one report names. */
const maxAddresses = 8

/** What was refused since the last report. */
export interface RefusalReport<Details> {
  readonly code: string
  /** The message of the last refusal. */
  readonly reason: string
  readonly count: number
  /** Where they came from, as far as there is room. */
  readonly addresses: readonly string[]
  /** Those of the last refusal. */
  readonly details: Details
}

interface Refused<Details> {
  reason: string
  count: number
  readonly addresses: Set<string>
  details: Details
}

/**
 * Reports what was refused: the first time at once, and then once a minute for each code with a count, the rest of the
 * last minute included. A stranger cannot fill the log. Codes are few, and ours.
 */
export class RefusalLog<Details = void> {
  readonly #report: (report: RefusalReport<Details>) => void
  readonly #timers: Timers
  /** Those reported within the last minute, with what came since; null: nothing came. */
  readonly #byCode = new Map<string, Refused<Details> | null>()

  constructor (report: (report: RefusalReport<Details>) => void, timers: Timers) {
    this.#report = report
    this.#timers = timers
  }

  /** `address`: that of the connection. */
  add ({ code, message }: RefusalText, address: string | undefined, details: Details): void {
    const refused = this.#byCode.get(code) ?? { reason: '', count: 0, addresses: new Set<string>(), details }
    refused.reason = message
    refused.count++
    refused.details = details
    if (address !== undefined && refused.addresses.size < maxAddresses) refused.addresses.add(address)
    if (this.#byCode.has(code)) this.#byCode.set(code, refused)
    else this.#tell(code, refused)
  }

  #tell (code: string, { addresses, ...refused }: Refused<Details>): void {
    this.#byCode.set(code, null)
    this.#timers.after(pauseMs, () => { this.#endPause(code) }, { background: true })
    this.#report({ ...refused, code, addresses: [...addresses] })
  }

  #endPause (code: string): void {
    const refused = this.#byCode.get(code) ?? null
    if (refused === null) this.#byCode.delete(code)
    else this.#tell(code, refused)
  }
}

/** Code and message of a refusal; the errors of the cluster fit. */
interface RefusalText {
  readonly code: string
  readonly message: string
}

/** Reports to a log what came in the name of nodes and was not theirs. */
export function logRefusals (logger: Logger, timers: Timers): RefusalLog {
  return new RefusalLog(({ code, reason, count, addresses }) => {
    logger.error({ code, reason, count, addresses }, 'a peer was refused')
  }, timers)
}
