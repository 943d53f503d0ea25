import type { Clock, LeaderInfo, Logger, TlsSource } from '../../raft/index.ts'
import type { Connector, MemberNonces, NameRules, Prover, Timers } from '../../raft/internal.ts'
import type { AttemptFailure } from './upstreams.ts'

/** Why there is nowhere to send a request. */
export type NoTargetCode = 'no-leader' | 'busy' | 'aborted' | 'closed'

/** Where a request belongs right now. */
export type Target =
  | { readonly kind: 'local' }
  | { readonly kind: 'remote', readonly leader: LeaderInfo }
  | { readonly kind: 'none', readonly code: NoTargetCode, readonly reason: string }

/** The leadership as the forwarder sees it. */
export interface LeaderSource {
  /** The leader as known now: another node, `'self'` when this node leads and may serve, or null. */
  readonly current: () => LeaderInfo | 'self' | null
  /** Calls the listener after every change of {@link LeaderSource.current}; returns the unsubscriber. */
  readonly subscribe: (listener: () => void) => () => void
  /**
   * This node as a target, while `current()` is `'self'`. A request whose body was already taken over cannot go back to
   * the local handler, so that a retry which finds this node leading is sent to this node's own URL. Without it such a
   * retry is answered 503.
   */
  readonly self?: () => LeaderInfo | null
}

/** Defaults of forwarding, for nodes and the gateway alike. */
export const forwardDefaults = {
  maxInFlight: 2_048,
  /** Connections that have switched protocols, WebSockets for instance. */
  maxTunnels: 2_048,
  connectTimeoutMs: 1_000,
  replayBytes: 65_536,
  /** Small buffers on the way are read by the slowest client within this. */
  stallTimeoutMs: 60_000
} as const

/** Options of a `Forwarder`. Durations are milliseconds. */
export interface ForwarderOptions {
  /** Identity of this node: the `from` of every hop. */
  readonly selfId: string
  readonly leaders: LeaderSource
  /** UUID of the cluster, for its hops; undefined while it is not known. Left out, hops name no cluster. */
  readonly clusterUuid?: () => string | undefined
  /**
   * Names requests, and proves to the leader that they come from here. Where that is not possible, the leader is told
   * of the client in the fields that proxies use, and believes them by its own rules.
   */
  readonly prover: Prover
  /** What leaders have told of their nonces and their clocks. */
  readonly nonces: Pick<MemberNonces, 'of' | 'learn' | 'clocks'>
  /** Pseudonym for the Via field (RFC 9110 section 7.6.3): a token, unique among the nodes. */
  readonly viaName: string
  /** How long a request may wait until a leader is known, and how long retries may look for another one. */
  readonly waitForLeaderMs: number
  /**
   * One deadline over all attempts, from the call of `forward` until the first header of the answer. While the client
   * still uploads it counts from the last piece passed on. It does not bound the answer's body.
   */
  readonly timeoutMs: number
  /** Requests that may wait for a leader at once; past it `target` answers `none` at once. */
  readonly maxWaiting: number
  /** Requests that may be on their way at once; past it `forward` answers 503 at once. Default 2048. */
  readonly maxInFlight?: number
  /** Connections that may have switched protocols, or ask for it, at once; the next one gets 503. Default 2048. */
  readonly maxTunnels?: number
  /** How long connecting to the leader may take. Default 1000. */
  readonly connectTimeoutMs?: number
  /** How a leader with an https URL is called. Default: as Node does it. */
  readonly tls?: TlsSource
  /** How the leader's certificate has to name it; its host counts instead when left out or null. */
  readonly nameRules?: NameRules | null
  /** How long one attempt may wait for the answer's first header. Default: no limit but `timeoutMs`. */
  readonly headersTimeoutMs?: number
  /** Bytes of a request's body kept so that it can be sent again after a "not executed" answer. Default 65536. */
  readonly replayBytes?: number
  /** How long a client may read nothing of an answer that waits for it. Default 60000. */
  readonly stallTimeoutMs?: number
  /**
   * Whether informational answers of the leader (102 and 103, RFC 9110 section 15.2) are passed on to clients. Default
   * true.
   */
  readonly informational?: boolean
  /** Path prefix that is never forwarded. Default `/_cluster`. */
  readonly prefix?: string
  readonly clock?: Clock
  /** The timers of this process when left out. */
  readonly timers?: Timers
  /** Opens connections; null or left out: over the network, with TLS where a URL says so. */
  readonly connector?: Connector | null
  readonly logger?: Logger
  /** Told of every attempt that failed, so that the leader can be looked up again. Must not throw. */
  readonly onAttemptFailed?: (target: LeaderInfo, failure: AttemptFailure) => void
}

/** What its route says about a request; what is left out follows from the request and the options. */
export interface ForwardPolicy {
  /**
   * Whether the request may be sent again although it may have been executed. Left out: as its method says, so GET,
   * HEAD and OPTIONS alone (RFC 9110 section 9.2.1). Idempotent methods are not among them: a second DELETE that comes
   * late deletes what another client has created meanwhile.
   */
  readonly repeatable?: boolean | undefined
  /**
   * Whether a request with an Idempotency-Key may be sent again too. The hop says so then, and a leader whose route
   * does not execute requests with the same key once answers that the outcome is unknown.
   */
  readonly idempotent?: boolean | undefined
  /** Deadline of the request, in milliseconds, instead of `timeoutMs` of the options. */
  readonly timeoutMs?: number | undefined
}

/** Response fields by lower-case name. */
export type OwnHeaders = Readonly<Record<string, string | number | string[] | undefined>>

/** What a request is forwarded with beside its route's policy. */
export interface ForwardRequest extends ForwardPolicy {
  /**
   * Response fields of this node's own, by lower-case name. Answers that are given in place of the leader's carry them;
   * the leader's answer has its own.
   */
  readonly ownHeaders?: OwnHeaders
  /** Id of the request on this node, for the leader's log. */
  readonly requestId?: string
}

/** How much work a forwarder has in hand. */
export interface ForwarderStats {
  /** Requests waiting for a leader. */
  readonly waiting: number
  /** Requests being forwarded. */
  readonly inFlight: number
}
