import type { IncomingMessage, ServerResponse } from 'node:http'
import type { LeaderInfo } from '../../raft/index.ts'
import type { Refusal } from '../../raft/internal.ts'
import { defaults, plainTls, systemClock, systemTimers } from '../../raft/internal.ts'
import type { AdminCall } from './admin-client.ts'
import { AdminClient } from './admin-client.ts'
import { onSucceeded } from './former-leader.ts'
import type { HopSender } from './hop-sender.ts'
import { LeaderCall } from './leader-call.ts'
import { LeaderSearch } from './leader-search.ts'
import { LeaderUpstreams } from './leader-upstreams.ts'
import { Relay } from './relay.ts'
import type { ForwarderOptions, ForwarderStats, ForwardRequest, Target } from './types.ts'
import { forwardDefaults } from './types.ts'

/**
 * Sends requests to the leader, streaming both ways.
 *
 * A request is sent again only when it surely was not executed: it was not sent, or the node refused it with an
 * authentic "not executed" answer. When that is in doubt, because the connection was lost, it is sent once more if it
 * changes nothing (GET, HEAD, OPTIONS: RFC 9110 section 9.2.1) or its route says that it may run twice. Both need the
 * body to be still at hand (absent, or at most `replayBytes`). Nothing is sent again once the answer has begun.
 */
export class Forwarder {
  readonly #options: ForwarderOptions
  readonly #relay: Relay
  readonly #search: LeaderSearch
  readonly #client: AdminClient
  readonly #sender: HopSender
  readonly #stopFollowing: () => void

  constructor (options: ForwarderOptions) {
    this.#options = options
    this.#sender = {
      selfId: options.selfId,
      clusterUuidOf: options.clusterUuid ?? (() => undefined),
      prover: options.prover,
      nonces: {
        of: ({ leader }) => leader === null ? null : options.nonces.of(leader.id),
        learn: ({ leader }, nonce) => { if (leader !== null) options.nonces.learn(leader.id, nonce.bytes) }
      },
      clockOf: ({ id, term }) => options.nonces.clocks.atLeastMs(id, term)
    }
    this.#search = new LeaderSearch(options)
    const tls = options.tls ?? plainTls
    const nameRules = options.nameRules ?? null
    const { clock = systemClock, timers = systemTimers, connector = null } = options
    this.#client = new AdminClient({ tls, nameRules, environment: { clock, timers, connector } })
    this.#relay = new Relay({
      ...this.#sender,
      viaName: options.viaName,
      timeoutMs: options.timeoutMs,
      maxInFlight: options.maxInFlight ?? forwardDefaults.maxInFlight,
      connectTimeoutMs: options.connectTimeoutMs ?? forwardDefaults.connectTimeoutMs,
      tls,
      nameRules,
      replayBytes: options.replayBytes ?? forwardDefaults.replayBytes,
      prefix: options.prefix ?? defaults.prefix,
      oneHopOnly: true,
      ...(options.maxTunnels === undefined ? {} : { maxTunnels: options.maxTunnels }),
      ...(options.informational === undefined ? {} : { informational: options.informational }),
      ...(options.headersTimeoutMs === undefined ? {} : { headersTimeoutMs: options.headersTimeoutMs }),
      ...(options.stallTimeoutMs === undefined ? {} : { stallTimeoutMs: options.stallTimeoutMs }),
      clock,
      timers,
      connector,
      ...(options.logger === undefined ? {} : { logger: options.logger })
    })
    this.#stopFollowing = onSucceeded(options.leaders, (url) => { this.#relay.forget(url) })
  }

  /**
   * Where to send a request. Waits for a leader up to `waitForLeaderMs`, woken by its arrival; answers `none` at once
   * when `maxWaiting` requests wait already. Never rejects.
   */
  async target (signal?: AbortSignal): Promise<Target> {
    return await this.#search.target(signal)
  }

  /** Where to send a request, by what is known now; null: there is nobody at this moment. */
  targetNow (): Exclude<Target, { kind: 'none' }> | null {
    return this.#search.targetNow()
  }

  /** The answer to a request that has no target. */
  refusalOf (target: Extract<Target, { kind: 'none' }>): Refusal {
    return this.#search.refusalOf(target)
  }

  /**
   * Sends the request to the leader and its answer back, and answers every failure itself with an `ErrorBody`. The
   * request's body must not have been read and no header sent. Never throws.
   *
   * Status codes of its own: 400 (a target or Host that cannot be forwarded), 404 (reserved path), 502 (connection lost
   * after sending, or an unusable answer), 503 with `retry-after` (surely not executed), 504 (deadline), 508 (loop).
   */
  forward (req: IncomingMessage, res: ServerResponse, leader: LeaderInfo, request?: ForwardRequest): void {
    this.#relay.run(req, res, new LeaderUpstreams(this.#search, leader), request)
  }

  /**
   * Sends a request to switch protocols to the leader, and then carries bytes both ways. `res` has the client's socket
   * and has sent nothing; `head` came behind the request. Answers every failure in HTTP, as {@link forward} does.
   */
  forwardUpgrade (
    { req, res, head }: { readonly req: IncomingMessage, readonly res: ServerResponse, readonly head: Buffer },
    leader: LeaderInfo,
    policy: ForwardRequest = {}
  ): void {
    this.#relay.runUpgrade({ req, res, head, upstreams: new LeaderUpstreams(this.#search, leader), policy })
  }

  /**
   * A call of an admin route for the leader, in the name of the client that sent `client`; of a node that proved to
   * have sent it, when `caller` has its id.
   */
  callLeader (client: IncomingMessage, call: AdminCall, caller?: string): LeaderCall {
    const { timeoutMs, clock = systemClock } = this.#options
    const parts = { sender: this.#sender, search: this.#search, client: this.#client, clock, timeoutMs, caller }
    return new LeaderCall(parts, client, call)
  }

  stats (): ForwarderStats {
    return { waiting: this.#search.waiting, inFlight: this.#relay.inFlight }
  }

  /** Ends all waits with `closed`, cuts what is under way, and closes the connections. */
  async close (): Promise<void> {
    this.#stopFollowing()
    this.#search.close()
    await Promise.all([this.#relay.close(), this.#client.close()])
  }
}
