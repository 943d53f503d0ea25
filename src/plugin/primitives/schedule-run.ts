import type { Leadership, Logger } from '../../raft/index.ts'
import { limits } from '../replicated/limits.ts'
import type { ScheduleFinishCommand } from '../replicated/schedule-command.ts'
import type { ScheduleRun } from '../replicated/schedule-state.ts'
import { formatToken } from './conditions.ts'
import type { PrimitiveContext } from './context.ts'
import type { GrantOwner } from './grant.ts'
import { createGrant } from './grant.ts'

/** What a run of a schedule is given. */
export interface ScheduledRun {
  /** The planned instant: the slot, or when somebody asked for the run. */
  readonly scheduledFor: Date
  /** Whether it began more than 10 seconds after it was due. */
  readonly isLate: boolean
  /** 1, and one more each time that the run of this slot was lost (`at-least-once`). */
  readonly attempt: number
  /** Fencing token of this run: valid for writes with `fence` until the run has ended or counts as lost. Only rises. */
  readonly token: string
  /**
   * Aborts when the run is to end: this node no longer leads or closes (reasons as for a `LeadershipGrant`), or
   * `RAFT_RUN_CANCELLED`.
   */
  readonly signal: AbortSignal
  /** Logs with the name, the slot and the attempt. */
  readonly logger: Logger
}

/** The work of a schedule. */
export type ScheduleWork = (run: ScheduledRun) => unknown

/** How a run ended, as the cluster is told. */
export type RunEnd = Pick<ScheduleFinishCommand, 'outcome' | 'error'>

/** A run at work on this node. */
export interface OpenRun {
  /** Asks it to end. */
  readonly cancel: (reason: Error) => void
  /** Resolves when the work has returned. Never rejects. */
  readonly ended: Promise<RunEnd>
}

/** Begins a run under a leadership of this node, in a later microtask. Whatever the work throws, nothing else does. */
export function openRun (
  context: PrimitiveContext,
  name: string,
  { run, leadership, isLate }: { readonly run: ScheduleRun, readonly leadership: Leadership, readonly isLate: boolean },
  work: ScheduleWork
): OpenRun {
  const owner = createGrant(context.engine, leadership)
  const about = { schedule: name, scheduledFor: new Date(run.slotMs).toISOString(), attempt: run.attempt }
  const logger = boundTo(context.logger, about)
  const given: ScheduledRun = {
    scheduledFor: new Date(run.slotMs),
    isLate,
    attempt: run.attempt,
    token: formatToken(run.token),
    signal: owner.grant.signal,
    logger
  }
  let isOver = false
  const ended = endOf(owner, given, work).finally(() => { isOver = true })
  // Whoever listens to the signal of a run that is over is left alone.
  return { cancel: (reason) => { if (!isOver) owner.end(reason) }, ended }
}

async function endOf (owner: GrantOwner, given: ScheduledRun, work: ScheduleWork): Promise<RunEnd> {
  const { signal, logger } = given
  await Promise.resolve()
  try {
    signal.throwIfAborted()
    await work(given)
    return { outcome: 'completed', error: null }
  } catch (error) {
    if (signal.aborted && (error === signal.reason || (error instanceof Error && error.name === 'AbortError'))) {
      logger.info({ err: error }, 'the run of a schedule was cancelled')
      return { outcome: 'cancelled', error: null }
    }
    logger.error({ err: error }, 'the run of a schedule failed')
    return { outcome: 'failed', error: textOf(error) }
  } finally {
    owner.end()
  }
}

/** What a work threw may be anything, even what has no text. */
function textOf (error: unknown): string {
  try {
    const text = error instanceof Error ? error.message : String(error)
    return text.slice(0, limits.maxRunErrorLength)
  } catch {
    return 'an error without a text'
  }
}

function boundTo (logger: Logger, about: object): Logger {
  return {
    debug: (details, message) => { logger.debug({ ...about, ...details }, message) },
    info: (details, message) => { logger.info({ ...about, ...details }, message) },
    warn: (details, message) => { logger.warn({ ...about, ...details }, message) },
    error: (details, message) => { logger.error({ ...about, ...details }, message) }
  }
}
