import type { WaitOptions } from '../../raft/index.ts'
import { InvalidOptionsError, TimeoutError } from '../../raft/index.ts'
import { limits } from '../replicated/limits.ts'
import type { TallyCommand, TallyKind } from '../replicated/tally-command.ts'
import { tallyKey } from '../replicated/tally-table.ts'
import { isDelta, isFillMs, isLockName, isPermits } from '../replicated/validate.ts'
import type { PrimitiveContext } from './context.ts'
import { waitOptions } from './context.ts'
import { proposeToTally } from './propose.ts'
import type { ReadOptions } from './read.ts'
import { beforeRead } from './read.ts'
import { waitUntilApplied } from './wait-until.ts'

/** A whole number of the whole cluster. A call whose outcome is unknown (`RAFT_OUTCOME_UNKNOWN`) may have counted. */
export interface ClusterCounter {
  /** Its name, 1 to 200 characters. */
  readonly name: string
  /** Adds a whole number, 1 when left out, and resolves with the sum. `RAFT_TOO_LARGE` beyond 2^53. */
  add: (by?: number, options?: WaitOptions) => Promise<number>
  /** The number; 0 before anything was added. */
  get: (options?: ReadOptions) => Promise<number>
  /** Forgets it: it is 0 again, and takes no room. */
  remove: (options?: WaitOptions) => Promise<void>
}

/** Opens for good once it was counted down so often, by whomever. A name is used once, until it is removed. */
export interface ClusterLatch {
  /** Its name, 1 to 200 characters. It has nothing to do with a counter of the same name. */
  readonly name: string
  /** One less to wait for; resolves with what is left, 0 when it is open. */
  countDown: (options?: WaitOptions) => Promise<number>
  /** Resolves when it is open. Rejects with `RAFT_TIMEOUT`, the reason of the signal, or `RAFT_STOPPED`. */
  wait: (options?: WaitOptions) => Promise<void>
  /** Forgets it, so that the name can be used again. */
  remove: (options?: WaitOptions) => Promise<void>
}

/** Lets so many go on together, again and again. */
export interface ClusterBarrier {
  /** Its name, 1 to 200 characters. It has nothing to do with a counter of the same name. */
  readonly name: string
  /**
   * Arrives, and resolves with the number of the round, from 0 on, when the last one of it has arrived. Rejects with
   * `RAFT_TIMEOUT`, the reason of the signal, or `RAFT_STOPPED`; who gives up has arrived all the same.
   */
  arrive: (options?: WaitOptions) => Promise<number>
  /** Forgets it: the next one that arrives is the first of round 0. */
  remove: (options?: WaitOptions) => Promise<void>
}

/** How much a rate limiter lets through. */
export interface RateLimiterOptions {
  /** Permits that a full bucket has, 1 to 1,000,000. So many may be taken at once. */
  readonly permits: number
  /** In which an empty bucket is full again, evenly, in milliseconds: 1 to 604,800,000. */
  readonly perMs: number
}

/** What came of asking a rate limiter. */
export interface RateLimitResult {
  /** Whether the permits that were asked for are taken. */
  readonly allowed: boolean
  /** Permits that are left. */
  readonly remaining: number
  /** When to ask again, in milliseconds; 0 when it was allowed. */
  readonly retryAfterMs: number
}

/**
 * A token bucket of the whole cluster. It fills by the time of the log, which the leader's monotonic clock counts and
 * which stands still while nobody leads: it never lets through more than it says.
 */
export interface ClusterRateLimiter {
  /** Its name, 1 to 200 characters. */
  readonly name: string
  /** Takes permits, 1 when left out, or none of them. */
  take: (permits?: number, options?: WaitOptions) => Promise<RateLimitResult>
}

/** A handle on a counter. Throws `RAFT_INVALID_OPTIONS` for a name out of bounds. */
export function createCounter (context: PrimitiveContext, name: string): ClusterCounter {
  checkName(name)
  return {
    name,
    add: (by = 1, options = {}) => add(context, 'counter', name, by, options),
    get: async (options = {}) => {
      await beforeRead(context, options)
      return context.machine.tallies.get('counter', name) ?? 0
    },
    remove: (options = {}) => remove(context, 'counter', name, options)
  }
}

/** A handle on a latch. Throws `RAFT_INVALID_OPTIONS` for a name or a number out of bounds. */
export function createLatch (context: PrimitiveContext, name: string, count: number): ClusterLatch {
  checkName(name)
  checkNumber('count', count)
  return {
    name,
    countDown: async (options = {}) => Math.max(0, count - await add(context, 'latch', name, 1, options)),
    wait: (options = {}) => untilAtLeast(context, 'latch', name, count, options),
    remove: (options = {}) => remove(context, 'latch', name, options)
  }
}

/** A handle on a barrier. Throws `RAFT_INVALID_OPTIONS` for a name or a number out of bounds. */
export function createBarrier (context: PrimitiveContext, name: string, parties: number): ClusterBarrier {
  checkName(name)
  checkNumber('parties', parties)
  return {
    name,
    arrive: async (options = {}) => {
      const startedMs = context.clock.monotonicMs()
      const { timeoutMs, signal } = waitOptions(context, options)
      const place = await add(context, 'barrier', name, 1, options)
      const round = Math.floor((place - 1) / parties)
      const leftMs = Math.max(0, timeoutMs - (context.clock.monotonicMs() - startedMs))
      await untilAtLeast(context, 'barrier', name, (round + 1) * parties, { timeoutMs: leftMs, signal })
      return round
    },
    remove: (options = {}) => remove(context, 'barrier', name, options)
  }
}

/** A handle on a rate limiter. Throws `RAFT_INVALID_OPTIONS` for a name or a number out of bounds. */
export function createRateLimiter (
  context: PrimitiveContext,
  name: string,
  { permits: capacity, perMs: fillMs }: RateLimiterOptions
): ClusterRateLimiter {
  checkName(name)
  checkNumber('permits', capacity)
  if (!isFillMs(fillMs)) throw new InvalidOptionsError(`perMs is an integer from 1 to ${limits.maxFillMs}`)
  return {
    name,
    take: async (takes = 1, options = {}) => {
      if (!isPermits(takes) || takes > capacity) {
        throw new InvalidOptionsError(`what is taken is an integer from 1 to ${capacity}`)
      }
      const answer = await proposeToTally(context, { kind: 'bucket-take', name, takes, capacity, fillMs }, options)
      if (answer.kind !== 'bucket') throw new TypeError('a bucket answers as one')
      const { isTaken: allowed, remaining, retryAfterMs } = answer
      return { allowed, remaining, retryAfterMs: Math.ceil(retryAfterMs) }
    }
  }
}

async function add (
  context: PrimitiveContext,
  tally: TallyKind,
  name: string,
  by: number,
  options: WaitOptions
): Promise<number> {
  if (!isDelta(by)) throw new InvalidOptionsError('what is added is a whole number')
  return await tallied(context, { kind: 'tally-add', tally, name, by }, options)
}

async function remove (context: PrimitiveContext, tally: TallyKind, name: string, options: WaitOptions): Promise<void> {
  await tallied(context, { kind: 'tally-remove', tally, name }, options)
}

async function tallied (context: PrimitiveContext, command: TallyCommand, options: WaitOptions): Promise<number> {
  const answer = await proposeToTally(context, command, options)
  if (answer.kind !== 'tallied') throw new TypeError('a number answers as one')
  return answer.value
}

async function untilAtLeast (
  context: PrimitiveContext,
  kind: TallyKind,
  name: string,
  least: number,
  options: WaitOptions
): Promise<void> {
  const { timeoutMs, signal } = waitOptions(context, options)
  const what = `the ${kind} "${name}"`
  const wait = (): Promise<true> => waitUntilApplied(context, {
    probe: () => (context.machine.tallies.get(kind, name) ?? 0) >= least ? true : null,
    onChange: (changed) => context.machine.onTallyChange(tallyKey(kind, name), changed),
    timeoutMs,
    timeoutError: () => new TimeoutError(timeoutMs, what),
    signal
  })
  await (context.waits === undefined ? wait() : context.waits.take(what, wait))
}

function checkName (name: string): void {
  if (!isLockName(name)) throw new InvalidOptionsError(`a name has 1 to ${limits.maxLockNameLength} characters`)
}

function checkNumber (what: string, number: number): void {
  if (!isPermits(number)) throw new InvalidOptionsError(`${what} is an integer from 1 to ${limits.maxPermits}`)
}
