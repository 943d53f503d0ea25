import type { Clock, Logger } from '../../raft/index.ts'
import type { Refusal, Timers } from '../../raft/internal.ts'
import { RefusalLog, systemClock } from '../../raft/internal.ts'
import type { AuditCaller, AuditRecord, RefusedCalls } from './types.ts'

/** Most characters of a text in a record. */
const maxTextLength = 200

/** What an {@link Audit} is built from. */
interface AuditOptions {
  /** The application's, under the name of the audit. */
  readonly logger: AuditLogger
  readonly timers: Timers
  /** The clocks of this process when left out. */
  readonly clock?: Clock
  /** Tells the listeners of the application. */
  readonly deliver: (record: AuditRecord) => void
  /** Whether there are any. */
  readonly isHeard: () => boolean
}

/** A logger that may know which of its lines nobody gets, as pino does. */
type AuditLogger = Logger & { readonly isLevelEnabled?: (level: string) => boolean }

/** What somebody asks for. */
export interface AuditedCall {
  readonly caller: AuditCaller
  /** Of the connection; undefined when it is gone, and for the application. */
  readonly address: string | undefined
  readonly action: string
}

/** How it ended, and what it was about. */
interface AuditedOutcome {
  readonly target: unknown
  /** Those that are neither text nor number are passed over. */
  readonly parameters: Readonly<Record<string, unknown>>
  readonly statusCode: number | null
  readonly code: string | null
  readonly durationMs: number
  /**
   * Whether data was changed, rather than the cluster. Its line has the level `debug`: a line for each write would cost
   * half as much as the write.
   */
  readonly isData?: boolean
}

const application: AuditCaller = { kind: 'application', name: null }

/** Tells who asked for which change, and what came of it: a line in the log, and an event. Counts what was refused. */
export class Audit {
  readonly #options: AuditOptions
  readonly #refusalLog: RefusalLog<AuditedCall & { readonly statusCode: number }>
  #refused: RefusedCalls = { unauthenticated: 0, unauthorized: 0 }

  constructor (options: AuditOptions) {
    this.#options = options
    this.#refusalLog = new RefusalLog(({ code, reason, count, addresses, details }) => {
      const { caller, action, statusCode } = details
      const about = { caller, addresses, action, target: null, parameters: {} }
      const record: AuditRecord = { ...about, result: 'refused', statusCode, code, count, durationMs: 0 }
      options.logger.warn({ ...record, reason }, 'calls were refused')
      options.deliver(record)
    }, options.timers)
  }

  get refusedCalls (): RefusedCalls {
    return this.#refused
  }

  /** Whether anybody is told of changes of data: a listener, or a log with lines of the level `debug`. */
  get tellsData (): boolean {
    const { logger, isHeard } = this.#options
    return isHeard() || logger.isLevelEnabled === undefined || logger.isLevelEnabled('debug')
  }

  /** A call that was let in has ended. */
  ended ({ caller, address, action }: AuditedCall, outcome: AuditedOutcome): void {
    const { statusCode, code, durationMs } = outcome
    const record: AuditRecord = {
      caller,
      addresses: address === undefined ? [] : [address],
      action,
      target: typeof outcome.target === 'string' ? cut(outcome.target) : null,
      parameters: readable(outcome.parameters),
      result: code === null && (statusCode ?? 200) < 400 ? 'done' : 'failed',
      statusCode,
      code,
      count: 1,
      durationMs: Math.round(durationMs)
    }
    if (outcome.isData) this.#options.logger.debug(record, 'a change was asked for')
    else this.#options.logger.info(record, 'a change was asked for')
    this.#options.deliver(record)
  }

  /** A call was not let in. Told once a minute for each code. */
  refused (call: AuditedCall, refusal: Refusal): void {
    const { unauthenticated, unauthorized } = this.#refused
    this.#refused = refusal.statusCode === 403
      ? { unauthenticated, unauthorized: unauthorized + 1 }
      : { unauthenticated: unauthenticated + 1, unauthorized }
    this.#refusalLog.add(refusal, call.address, { ...call, statusCode: refusal.statusCode })
  }

  /** Does what the application asks for, and tells of it. */
  async ofApplication<T> (
    action: string,
    about: Pick<AuditedOutcome, 'target' | 'parameters'>,
    work: () => Promise<T>
  ): Promise<T> {
    const { clock: { monotonicMs } = systemClock } = this.#options
    const startedMs = monotonicMs()
    const ended = (code: string | null): void => {
      const durationMs = monotonicMs() - startedMs
      this.ended({ caller: application, address: undefined, action }, { ...about, statusCode: null, code, durationMs })
    }
    try {
      const value = await work()
      ended(null)
      return value
    } catch (error) {
      ended(codeOf(error))
      throw error
    }
  }
}

function codeOf (error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : 'RAFT_INTERNAL'
}

function readable (parameters: Readonly<Record<string, unknown>>): Record<string, string | number> {
  const read: Record<string, string | number> = {}
  for (const [name, value] of Object.entries(parameters)) {
    if (typeof value === 'number') read[name] = value
    else if (typeof value === 'string') read[name] = cut(value)
  }
  return read
}

function cut (text: string): string {
  return text.length > maxTextLength ? `${text.slice(0, maxTextLength - 1)}…` : text
}
