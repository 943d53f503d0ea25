import { setMaxListeners } from 'node:events'
import type { Engine, WaitOptions } from '../../raft/index.ts'
import { NoLeaderError, SessionLostError, StoppedError } from '../../raft/index.ts'
import { Waiter } from '../../raft/internal.ts'
import type { Beats, PrimitiveContext } from './context.ts'
import { drawRequestId, onNodeEnd, waitOptions } from './context.ts'
import { proposeToSession } from './propose.ts'
import { SessionBeats } from './session-beats.ts'
import type { Stopwatch } from './stopwatch.ts'
import { inBackground, startStopwatch, surelyHeldMs, whenOver } from './stopwatch.ts'

/** A session of this process, kept until it is lost or this node closes. */
export interface HeldSession {
  /** Its id in the replicated state. */
  readonly id: number
  /** Aborts with a `RAFT_SESSION_LOST` error when the session is lost, with `RAFT_STOPPED` when this node ends. */
  readonly signal: AbortSignal
  /** For how many more milliseconds it surely lives, by the clocks; 0 when it does not. */
  readonly expiresInMs: number
  /** Calls back once when it is lost; at once when it is over. The function returned ends that. */
  readonly onLost: (lost: () => void) => () => void
}

/** Time to live of a session unless the options of the node say otherwise, in milliseconds. */
const defaultSessionTtlMs = 10_000

/** Until a beat is in the log another one is sent: the one that is written is no older. */
const retriesPerTtl = 20

const sessions = new WeakMap<Engine, ProcessSession>()

/** The session of this process: one for each node. */
export function processSession (context: PrimitiveContext): ProcessSession {
  const known = sessions.get(context.engine)
  if (known !== undefined) return known
  const session = new ProcessSession(context)
  sessions.set(context.engine, session)
  return session
}

/**
 * The one session that owns what this process holds in the cluster. Opened when something needs it for the first time,
 * and anew when it was lost: what the lost one owned stays lost.
 */
export class ProcessSession {
  readonly #context: PrimitiveContext
  #held: KeptSession | null = null
  #opening: Promise<KeptSession> | null = null

  constructor (context: PrimitiveContext) {
    this.#context = context
  }

  /** The session as it is; null when none is open or it was lost. */
  get current (): HeldSession | null {
    return this.#held !== null && this.#held.expiresInMs > 0 ? this.#held : null
  }

  /** The session, which it opens when there is none. Rejects as `Engine.propose` does. */
  async open (options: WaitOptions = {}): Promise<HeldSession> {
    if (this.current !== null) return this.current
    options.signal?.throwIfAborted()
    const { engine, clock, timers } = this.#context
    const wait = waitOptions(this.#context, options)
    const startedMs = clock.monotonicMs()
    await engine.waitForState(wait)
    // Somebody else may have opened it meanwhile.
    if (this.current !== null) return this.current
    this.#opening ??= this.#open().finally(() => { this.#opening = null })
    const timedOut = (): Error => new NoLeaderError(wait.timeoutMs)
    const timeoutMs = Math.max(0, wait.timeoutMs - (clock.monotonicMs() - startedMs))
    const waiter = new Waiter<HeldSession>({ ...wait, timeoutMs }, timedOut, () => {}, timers)
    this.#opening.then((held) => { waiter.resolve(held) }, (error: unknown) => { waiter.reject(error) })
    return await waiter.promise
  }

  /** Ends the session and all that it owns, for a process that needs nothing of it any more. Never rejects. */
  async end (): Promise<void> {
    await this.#held?.end()
  }

  async #open (): Promise<KeptSession> {
    const { engine, machine, clock, incarnation, closed, sessionTtlMs: ttlMs = defaultSessionTtlMs } = this.#context
    if (closed?.aborted === true) throw new StoppedError('it is closed')
    const since = startStopwatch(clock)
    const answer = await proposeToSession(this.#context, {
      kind: 'session-open',
      owner: engine.status().nodeId,
      requestId: drawRequestId(this.#context),
      ttlMs,
      ...(incarnation === undefined ? {} : { log: incarnation })
    })
    const id = answer.kind === 'session-opened' ? answer.session : 0
    // The answer took so long that the session is over.
    if (machine.sessions.get(id) === undefined || surelyHeldMs(ttlMs, since) <= 0) throw new SessionLostError(id)
    this.#held = new KeptSession(this.#context, { id, ttlMs, since })
    return this.#held
  }
}

/** A session as the cluster opened it. */
interface OpenedSession {
  readonly id: number
  readonly ttlMs: number
  /** Started before the request was sent. */
  readonly since: Stopwatch
}

class KeptSession implements HeldSession {
  readonly id: number
  readonly #context: PrimitiveContext
  readonly #ttlMs: number
  readonly #lost = new AbortController()
  readonly #ended = new AbortController()
  readonly #stopListening: () => void
  #stopWatching: () => void = () => {}
  /** A list of its own: thousands of listeners on one signal would cost each of them a walk through all. */
  readonly #owners = new Set<() => void>()
  /** Beats on their way, by number, with what has measured since they were sent. */
  readonly #sent = new Map<number, Stopwatch>()
  readonly #beats: Beats
  #beat = 0
  #since: Stopwatch
  #isOver = false
  #cancelBeat: () => void = () => {}
  #cancelDeadline: () => void = () => {}

  constructor (context: PrimitiveContext, { id, ttlMs, since }: OpenedSession) {
    this.id = id
    this.#context = context
    this.#ttlMs = ttlMs
    this.#since = since
    this.#beats = context.beats ?? new SessionBeats(context, null)
    // Beats that nobody answers pile up on the other one.
    setMaxListeners(0, this.#lost.signal, this.#ended.signal)
    this.#stopListening = context.machine.onSessionChange(({ kind, session }) => {
      if (session.id !== id) return
      if (kind === 'kept') this.#confirmed(session.beat)
      else if (kind !== 'opened') this.#lose()
    })
    this.#beatAfter(this.#beats.pauseMs(ttlMs) - since.elapsedMs())
    this.#cancelDeadline = whenOver(this.#context, () => this.expiresInMs, () => { this.#lose() })
    this.#stopWatching = onNodeEnd(context, (reason) => {
      this.#stop()
      this.#lost.abort(reason)
    })
  }

  get signal (): AbortSignal { return this.#lost.signal }

  get expiresInMs (): number {
    return this.#isOver ? 0 : Math.max(0, surelyHeldMs(this.#ttlMs, this.#since))
  }

  onLost (lost: () => void): () => void {
    if (this.#isOver) queueMicrotask(lost)
    else this.#owners.add(lost)
    return () => { this.#owners.delete(lost) }
  }

  async end (): Promise<void> {
    if (this.#isOver) return
    this.#over()
    await this.#endInCluster().catch((error: unknown) => { this.#stillOpen(error) })
  }

  /** A beat is in the log: the session lives on from when it was sent. */
  #confirmed (beat: number): void {
    const since = this.#sent.get(beat)
    for (const earlier of this.#sent.keys()) if (earlier <= beat) this.#sent.delete(earlier)
    if (since === undefined || this.#ended.signal.aborted) return
    this.#since = since
    this.#beatAfter(this.#beats.pauseMs(this.#ttlMs) - since.elapsedMs())
    this.#cancelDeadline()
    this.#cancelDeadline = whenOver(this.#context, () => this.expiresInMs, () => { this.#lose() })
  }

  #sendBeat (): void {
    // Behind a blocked event loop the timer of the deadline has not run yet.
    if (this.expiresInMs === 0) return this.#lose()
    const beat = ++this.#beat
    this.#sent.set(beat, startStopwatch(this.#context.clock))
    this.#beatAfter(this.#ttlMs / retriesPerTtl)
    const { logger } = this.#context
    const timeoutMs = Math.ceil(this.expiresInMs)
    this.#beats.send(this.id, beat, { timeoutMs, signal: this.#ended.signal }).catch((error: unknown) => {
      if (!this.#ended.signal.aborted) logger.debug({ err: error, session: this.id }, 'a beat of the session was lost')
    })
  }

  #beatAfter (delayMs: number): void {
    this.#cancelBeat()
    this.#cancelBeat = inBackground(this.#context, delayMs, () => { this.#sendBeat() })
  }

  /** No beat came through in time, or the cluster has ended it. In the cluster what it owns may be held for longer. */
  #lose (): void {
    if (this.#isOver) return
    this.#over()
    // Listeners of the owner must not run in the middle of `apply`.
    queueMicrotask(() => {
      this.#context.logger.warn({ session: this.id }, 'the session of this process is lost, with all that it owned')
      this.#lost.abort(new SessionLostError(this.id))
      for (const lost of [...this.#owners]) lost()
    })
    this.#endInCluster().catch((error: unknown) => { this.#stillOpen(error) })
  }

  async #endInCluster (): Promise<void> {
    await proposeToSession(this.#context, { kind: 'session-end', session: this.id })
  }

  #stillOpen (error: unknown): void {
    this.#context.logger.debug({ err: error, session: this.id }, 'could not end the session; it expires by itself')
  }

  #over (): void {
    this.#isOver = true
    this.#stop()
  }

  #stop (): void {
    this.#stopListening()
    this.#stopWatching()
    this.#cancelBeat()
    this.#cancelDeadline()
    this.#ended.abort()
  }
}
