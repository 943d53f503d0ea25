import type { WaitOptions } from '../../raft/index.ts'
import { InvalidOptionsError, NotJsonError, SessionLostError, TimeoutError, TooLargeError } from '../../raft/index.ts'
import { pause, systemTimers } from '../../raft/internal.ts'
import { jsonFault } from '../replicated/json-value.ts'
import { limits } from '../replicated/limits.ts'
import type { OnceEnd } from '../replicated/once-command.ts'
import { byteLength, isOnceVersion, isTaskName } from '../replicated/validate.ts'
import { formatToken } from './conditions.ts'
import type { PrimitiveContext } from './context.ts'
import { drawRequestId } from './context.ts'
import type { HeldSession } from './process-session.ts'
import { processSession } from './process-session.ts'
import { proposeToOnce } from './propose.ts'
import { isTransient, retryMs } from './task-claim.ts'
import { waitUntilApplied } from './wait-until.ts'

/** An attempt at work that is done once, as given to its function. */
export interface OnceGrant {
  /** Fencing token of the attempt, as a decimal string; valid until the attempt has ended. Tokens only rise. */
  readonly token: string
  /** Number of the attempt, from 1. */
  readonly attempt: number
  /**
   * How the attempt before this one ended: `failed`, its function threw; `crashed`, its process ended or was cut off
   * half way, so that it may have done a part. Null for the first.
   */
  readonly previous: OnceEnd | null
  /** Aborts when the attempt is over before its function has ended, and with the signal of the call. */
  readonly signal: AbortSignal
  /** Throws unless this attempt surely counts now, by the clocks. Call it right before every outside effect. */
  readonly check: () => void
}

/** Work that is done once. What it returns is JSON, or undefined. */
export type OnceRun<T> = (grant: OnceGrant) => T | Promise<T>

/** Work with its name, and how its caller waits. */
interface OnceOptions<T> {
  readonly name: string
  readonly version: string | number
  readonly run: OnceRun<T> | undefined
  readonly wait: WaitOptions
}

/** An attempt as the cluster began it. */
interface BegunAttempt {
  readonly token: number
  readonly attempt: number
  readonly previous: OnceEnd | null
}

/** What became of a look at the work: it is done, or another attempt is to be made. */
type Outcome<T> = { readonly kind: 'done', readonly value: T } | { readonly kind: 'again' }

/** Does the work unless it was done, here or on another node, and resolves with what it returned there. */
export async function runOnce<T> (context: PrimitiveContext, options: OnceOptions<T>): Promise<T> {
  const { name, run, wait } = options
  if (!isTaskName(name)) throw new InvalidOptionsError(`a name has 1 to ${limits.maxTaskNameLength} characters`)
  const version = readVersion(options.version)
  if (typeof run !== 'function') throw new InvalidOptionsError('once needs a function')
  const timeoutMs = wait.timeoutMs ?? Infinity
  if (!(timeoutMs >= 0)) throw new InvalidOptionsError('timeoutMs is a number of milliseconds, at least 0')
  const attempts = new OnceAttempts(context, { name, version, run, timeoutMs, signal: wait.signal })
  for (;;) {
    const outcome = await attempts.next()
    if (outcome.kind === 'done') return outcome.value
  }
}

/** The call of one node for one piece of work. */
class OnceAttempts<T> {
  readonly #context: PrimitiveContext
  readonly #name: string
  readonly #version: string
  readonly #run: OnceRun<T>
  readonly #timeoutMs: number
  readonly #signal: AbortSignal | undefined
  readonly #startedMs: number

  constructor (
    context: PrimitiveContext,
    { name, version, run, timeoutMs, signal }: {
      readonly name: string
      readonly version: string
      readonly run: OnceRun<T>
      readonly timeoutMs: number
      readonly signal: AbortSignal | undefined
    }
  ) {
    this.#context = context
    this.#name = name
    this.#version = version
    this.#run = run
    this.#timeoutMs = timeoutMs
    this.#signal = signal
    this.#startedMs = context.clock.monotonicMs()
  }

  /** One look at the work, and one attempt if there is none. */
  async next (): Promise<Outcome<T>> {
    const { machine, timers = systemTimers, logger } = this.#context
    this.#signal?.throwIfAborted()
    // What is done stays done: no need to ask the cluster.
    const known = machine.once.get(this.#name, this.#version)
    if (known?.state === 'done') return { kind: 'done', value: parse<T>(known.text) }
    if (known?.state === 'running') return await this.#untilChanged(known.token)
    try {
      return await this.#begin()
    } catch (error) {
      if (!isTransient(error) || this.#remainingMs() === 0) throw error
      logger.debug({ err: error, once: this.#name }, 'could not begin what is done once')
      await pause(timers, retryMs, this.#signal)
      return { kind: 'again' }
    }
  }

  async #begin (): Promise<Outcome<T>> {
    const { engine, machine, defaultTimeoutMs } = this.#context
    const wait = { timeoutMs: Math.min(this.#remainingMs(), defaultTimeoutMs), signal: this.#signal }
    const session = await processSession(this.#context).open(wait)
    const work = { name: this.#name, version: this.#version, run: drawRequestId(this.#context) }
    const { nodeId: node } = engine.status()
    let answer
    try {
      const command = { kind: 'once-begin', ...work, node, session: session.id } as const
      answer = await proposeToOnce(this.#context, command, wait)
    } catch (error) {
      // It may have begun.
      this.#finish(work.run, 'failed', 'it was given up before it began').catch((err: unknown) => {
        this.#context.logger.debug({ err, once: this.#name }, 'could not undo an attempt; it ends with its session')
      })
      throw error
    }
    if (answer.kind === 'once-done') return { kind: 'done', value: parse<T>(answer.text) }
    if (answer.kind !== 'once-begun') {
      const other = machine.once.get(this.#name, this.#version)
      return other?.state === 'running' ? await this.#untilChanged(other.token) : { kind: 'again' }
    }
    const { token, attempt, previous } = answer
    return { kind: 'done', value: await this.#attempt(session, work.run, { token, attempt, previous }) }
  }

  /** Calls the function, and says how it ended. */
  async #attempt (
    session: HeldSession,
    run: string,
    { token, attempt, previous }: BegunAttempt
  ): Promise<T> {
    const signal = this.#signal === undefined ? session.signal : AbortSignal.any([session.signal, this.#signal])
    const check = (): void => {
      signal.throwIfAborted()
      const isAtWork = this.#context.machine.once.hasToken(token)
      if (session.expiresInMs === 0 || !isAtWork) throw new SessionLostError(session.id)
    }
    let value
    let text
    try {
      value = await this.#run({ token: formatToken(token), attempt, previous, signal, check })
      text = toText(value)
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error)
      await this.#finish(run, 'failed', why).catch((err: unknown) => {
        this.#context.logger.warn({ err, once: this.#name }, 'could not write a failure; it ends with the session')
      })
      throw error
    }
    if (!await this.#finish(run, 'done', text)) throw new SessionLostError(session.id)
    return value
  }

  /** Whether the attempt counted until now. Asks as long as the session lives: nobody else begins meanwhile. */
  async #finish (run: string, outcome: 'done' | 'failed', text: string): Promise<boolean> {
    const { closed, timers = systemTimers } = this.#context
    const command = {
      kind: 'once-finish',
      name: this.#name,
      version: this.#version,
      run,
      failed: outcome === 'failed',
      text: outcome === 'failed' ? text.slice(0, limits.maxOnceErrorLength) : text
    } as const
    for (;;) {
      try {
        const answer = await proposeToOnce(this.#context, command)
        return answer.kind === 'once-ended' || this.#isDoneBy(run)
      } catch (error) {
        if (!isTransient(error) || closed?.aborted === true) throw error
        await pause(timers, retryMs, closed)
        if (this.#isDoneBy(run)) return true
      }
    }
  }

  #isDoneBy (run: string): boolean {
    const work = this.#context.machine.once.get(this.#name, this.#version)
    return work?.state === 'done' && work.run === run
  }

  /** Waits until the attempt with this token has ended. */
  async #untilChanged (token: number): Promise<Outcome<T>> {
    const { machine } = this.#context
    await waitUntilApplied(this.#context, {
      probe: () => machine.once.hasToken(token) ? null : true,
      onChange: (changed) => machine.onOnceChange(changed),
      timeoutMs: this.#remainingMs(),
      timeoutError: () => new TimeoutError(this.#timeoutMs, `"${this.#name}" to be done`),
      signal: this.#signal
    })
    return { kind: 'again' }
  }

  #remainingMs (): number {
    return Math.max(0, this.#timeoutMs - (this.#context.clock.monotonicMs() - this.#startedMs))
  }
}

function readVersion (version: string | number): string {
  const isNumber = Number.isSafeInteger(version) && (version as number) >= 0
  const text = typeof version === 'string' || isNumber ? String(version) : ''
  if (isOnceVersion(text)) return text
  throw new InvalidOptionsError(
    `a version is a whole number from 0, or a text of 1 to ${limits.maxOnceVersionLength} characters`
  )
}

/** What the others are given: JSON, empty for undefined. */
function toText (value: unknown): string {
  if (value === undefined) return ''
  const fault = jsonFault(value, { maxDepth: limits.maxValueDepth })
  if (fault !== null) throw new NotJsonError(`what is done once returned ${fault.message}`)
  const text = JSON.stringify(value)
  if (byteLength(text) > limits.maxOnceResultBytes) {
    throw new TooLargeError(`What is done once returned more than ${limits.maxOnceResultBytes} bytes of JSON`)
  }
  return text
}

function parse<T> (text: string): T {
  return (text === '' ? undefined : JSON.parse(text)) as T
}
