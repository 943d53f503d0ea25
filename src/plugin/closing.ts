import type { Server } from 'node:http'
import type { Leadership, Logger, RaftEngine } from '../raft/index.ts'
import type { OpenRequests } from '../raft/internal.ts'
import { pause, settlesWithin } from '../raft/internal.ts'
import type { NodeEnvironment } from './environment.ts'
import type { StoppingSingletons } from './primitives/singleton.ts'
import type { OpenConnections } from './routes/open-connections.ts'

/** How often connections that have nothing to wait for are looked for, in milliseconds. */
const sweepMs = 20
/** How long requests may take for their answer once the node has left, in milliseconds. */
const answerMs = 300
/** How long a connection may take for its first request once no more are accepted, in milliseconds. */
const arrivalMs = 200
/** How long a request that has arrived in full may take to reach its handler, in milliseconds. */
const dispatchMs = 10
/** How often leadership that comes back meanwhile is handed over: two nodes that close must not pass it on for ever. */
const maxHandOvers = 3

/** What a node needs in order to close. Durations in milliseconds. */
interface ClosingParts {
  readonly engine: Pick<RaftEngine, 'currentLeadership' | 'leader' | 'handOver' | 'events'>
  readonly environment: NodeEnvironment
  readonly logger: Logger
  readonly requests: OpenRequests
  readonly connections: OpenConnections
  /** The server of the application, and then those that it opened beside. */
  readonly servers: () => readonly [Server, ...Server[]]
  /** Told when this node begins to drain, and when it begins to close. */
  readonly noticed: () => void
  /** Ends what is at work because this node leads. */
  readonly stopLeading: () => StoppingSingletons
  /** Whether this node is the only one that votes: it needs nobody, and serves until it is ended. */
  readonly isSoleVoter: () => boolean
  /** Takes the node out of its cluster for good, if it is to. Bounded, and never rejects. */
  readonly depart: () => Promise<void>
  /** Ends the node, and with it what waits for the cluster. Called once. */
  readonly leave: () => Promise<void>
  /** How long requests and singletons may go on. */
  readonly closeTimeoutMs: number
  /** How long the singletons may take before leadership moves all the same. */
  readonly handOverAfterMs: number
}

/**
 * Closes a node in an order in which everything lives as long as it is needed. Requests that are under way may still
 * write, read, and wait for the leader: so the node goes on as a full member, which peers reach through the same
 * server, until the last one is answered or the time is over.
 *
 * The order: singletons stop, leadership moves, requests end, the node departs if it is not to come back, the server
 * closes, the node leaves.
 */
export class Closing {
  readonly #parts: ClosingParts
  #deadlineMs = Infinity
  #drained: Promise<StoppingSingletons> | null = null
  /** Whether this node led when it began to drain. */
  #hasLed = false
  #served: Promise<void> | null = null
  #isServed = false
  #isOver = false
  #cancelSweep: (() => void) | null = null
  #leaving: Promise<void> | null = null
  #leftAtMs = Infinity
  /** When the server was first seen to listen no more. */
  #unreachableAtMs = Infinity
  #handOvers = 0

  constructor (parts: ClosingParts) {
    this.#parts = parts
  }

  get hasBegun (): boolean {
    return this.#served !== null
  }

  /** Whether this node takes no more work: it drains or closes. */
  get isDraining (): boolean {
    return this.#drained !== null
  }

  /**
   * The part of closing that may come long before the rest: singletons stop, leadership moves, and moves on when it
   * comes back. Requests are served as ever, those for the leader by the next one. Resolves when this node no longer
   * leads, or nobody took over.
   */
  async drain (): Promise<void> {
    await this.#drain()
  }

  /**
   * Begins to close. Resolves when the singletons have stopped, this node no longer leads and every request is
   * answered, or the time for that is over.
   */
  async begin (): Promise<void> {
    this.#served ??= this.#serve()
    await this.#served
  }

  /** Ends everything. Resolves when nothing is left. */
  async end (): Promise<void> {
    try {
      await this.begin()
      await this.#leave()
    } finally {
      this.#isOver = true
      this.#cancelSweep?.()
    }
  }

  async #serve (): Promise<void> {
    const { requests, closeTimeoutMs } = this.#parts
    this.#deadlineMs = this.#nowMs() + closeTimeoutMs
    this.#sweepLater()
    const lingered = requests.linger(closeTimeoutMs)
    queueMicrotask(this.#parts.noticed)
    const singletons = await this.#drain()
    await Promise.all([
      settlesWithin(this.#parts.environment.timers, singletons.ended, this.#leftMs()),
      requests.until(() => requests.size === 0, this.#leftMs()),
      this.#hasLed ? requests.lingerForForwarders(this.#leftMs()) : null,
      lingered
    ])
    this.#report(singletons)
    // While peers still reach it: its vote may be needed for its own removal.
    await this.#parts.depart()
    // What has arrived by now is still accepted.
    for (let turn = 0; turn < 2; turn++) await this.#turn()
    this.#isServed = true
  }

  #drain (): Promise<StoppingSingletons> {
    this.#drained ??= this.#stopLeading()
    return this.#drained
  }

  async #stopLeading (): Promise<StoppingSingletons> {
    const { engine, environment: { timers }, closeTimeoutMs, handOverAfterMs, stopLeading } = this.#parts
    const withinMs = Math.min(handOverAfterMs, closeTimeoutMs)
    this.#hasLed = engine.currentLeadership() !== null
    const singletons = stopLeading()
    // Behind this turn: by then it shows that this node drains.
    queueMicrotask(this.#parts.noticed)
    // Where nobody leads, the end of a run cannot be written down.
    const stopped = engine.leader() === null ? singletons.ended : singletons.known
    await Promise.all([settlesWithin(timers, stopped, withinMs), this.#dispatchReceived(withinMs)])
    engine.events.on('leadership', this.#leadershipChanged)
    await this.#handOver()
    return singletons
  }

  /**
   * What a marked route of the leader has begun to receive is served by this leader: its body cannot be sent to another
   * one.
   */
  async #dispatchReceived (timeoutMs: number): Promise<void> {
    const { engine, requests } = this.#parts
    if (engine.currentLeadership() === null || requests.size === 0) return
    const endsAtMs = this.#nowMs() + timeoutMs
    do await pause(this.#parts.environment.timers, dispatchMs)
    while (requests.isReceiving && this.#nowMs() < endsAtMs)
  }

  /** Another node that closes may hand leadership over to this one. */
  readonly #leadershipChanged = (leadership: Leadership | null): void => {
    if (leadership === null) return
    this.#handOver().catch((err: unknown) => { this.#parts.logger.error({ err }, 'handing over failed') })
  }

  async #handOver (): Promise<void> {
    if (this.#leaving !== null || this.#handOvers >= maxHandOvers) return
    this.#handOvers++
    await this.#parts.engine.handOver()
  }

  #report (singletons: StoppingSingletons): void {
    const { logger, requests, closeTimeoutMs } = this.#parts
    for (const singleton of singletons.running()) {
      logger.error({ singleton, closeTimeoutMs }, 'the singleton ignores its signal: closing without it')
    }
    if (requests.size === 0) return
    logger.warn({ requests: requests.size, closeTimeoutMs }, 'requests are still under way: they are ended')
  }

  /**
   * Leaves as soon as nobody can reach this node any more, or the time is over. Node closes the connections that are
   * idle when the server closes, and none that become idle later or that no request ever came on.
   */
  #sweep (): void {
    const { requests, connections, servers, isSoleVoter } = this.#parts
    const [main] = servers()
    const isLate = this.#leftMs() === 0
    if (!this.#isServed || (main.listening && !isLate)) return
    if (isLate || !isSoleVoter()) this.#leaveSoon()
    if (main.listening) return
    const nowMs = this.#nowMs()
    this.#unreachableAtMs = Math.min(this.#unreachableAtMs, nowMs)
    // A connection that was just accepted may bring a request, which must be told rather than cut off.
    const isQuiet = requests.size === 0 && nowMs > this.#unreachableAtMs + arrivalMs
    const isOver = nowMs > this.#leftAtMs + answerMs
    const areCut = isQuiet || isOver
    connections.endSessions()
    // Node knows the connections of HTTP/1.1 only. The server waits for all others as well.
    if (isLate && isOver) connections.cut()
    for (const server of servers()) {
      if (areCut && 'closeAllConnections' in server) server.closeAllConnections()
      else if ('closeIdleConnections' in server) server.closeIdleConnections()
    }
  }

  #sweepLater (): void {
    if (this.#isOver) return
    this.#cancelSweep = this.#parts.environment.timers.after(sweepMs, () => {
      this.#sweepLater()
      this.#sweep()
    })
  }

  #turn (): Promise<void> {
    return new Promise((resolve) => { this.#parts.environment.timers.soon(resolve) })
  }

  #leaveSoon (): void {
    this.#leave().catch((err: unknown) => { this.#parts.logger.error({ err }, 'leaving the cluster failed') })
  }

  async #leave (): Promise<void> {
    if (this.#leaving === null) {
      this.#parts.engine.events.off('leadership', this.#leadershipChanged)
      this.#leaving = this.#parts.leave().finally(() => { this.#leftAtMs = this.#nowMs() })
    }
    await this.#leaving
  }

  #nowMs (): number {
    return this.#parts.environment.clock.monotonicMs()
  }

  #leftMs (): number {
    return Math.max(0, this.#deadlineMs - this.#nowMs())
  }
}
