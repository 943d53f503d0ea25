import type {
  ContextConfigDefault,
  FastifyBaseLogger,
  // By another name: @fastify/swagger declares FastifySchema too, and that one would be meant below.
  FastifySchema as RouteSchema,
  FastifyTypeProvider,
  FastifyTypeProviderDefault,
  RawReplyDefaultExpression,
  RawRequestDefaultExpression,
  RawServerBase,
  RawServerDefault,
  RouteGenericInterface
} from 'fastify'
import type { Cluster } from '../cluster/cluster.ts'
import type { RouteForwardOptions } from '../options/options-schema.ts'
import type { RouteIdempotencyOptions } from './idempotent-mark.ts'

/** What a read sees; see {@link ClusterRouteMarks.read}. */
export type ReadConsistency = 'linearizable' | 'leader' | 'local'

/** What becomes of the answer of a handler that outlived its leadership; see {@link ClusterRouteMarks.onLost}. */
export type OnLostLeadership = 'mark' | 'fail'

/**
 * Where a route is served, and how. At most one of `forward` and `leaderOnly` may be given; with neither, every node
 * serves the route.
 */
export interface ClusterRouteMarks {
  /** The leader serves the route; every other node passes the request on to it, as `true` or as an object says. */
  readonly forward?: boolean | RouteForwardOptions | undefined
  /** Only the leader serves the route; every other node answers 503 and says who leads. */
  readonly leaderOnly?: boolean | undefined
  /**
   * Whether a forwarded request of the route may run twice: it is then sent once more when the connection to the leader
   * is lost before an answer came. Left out, GET, HEAD and OPTIONS may, and nothing else. Together with `forward` only.
   */
  readonly repeatable?: boolean | undefined
  /**
   * With `leaderOnly`: every other node sends the client to the leader with this status, instead of 503. Needs the
   * option `publicUrl` on all nodes. `false` takes it from a route whose scope has it.
   */
  readonly redirect?: 307 | 308 | false | undefined
  /**
   * What GET and HEAD see of the replicated state; in a scope, its other methods go by `forward` and `leaderOnly`.
   *
   * - `linearizable`: every write that was acknowledged anywhere before the request. Any node serves it, once it has
   *   asked the leader how far the log is committed (dissertation section 6.4); no clock is involved.
   * - `leader`: the same while clocks agree. The leader serves it under its lease, and every other node passes it on,
   *   as with `forward`.
   * - `local`: what this node has, at once; it may be old. The answer says how old in `raft-applied-index` and
   *   `raft-last-contact-ms`.
   *
   * With the `raft-read-token` of an earlier answer, each of them sees at least what that answer told. A handler reads
   * `app.cluster` with `read: 'local'` then: what it has to see is there. `false` takes it from a route whose scope has
   * it.
   */
  readonly read?: ReadConsistency | false | undefined
  /**
   * With `forward` or `leaderOnly`: what the client gets when the handler was still at work as its node lost the
   * leadership. `mark` adds the field `raft-leadership-lost` to the answer; `fail` answers 502 `RAFT_OUTCOME_UNKNOWN`
   * instead, unless the answer is an error of 500 or above already. Left out or false: the answer as it is.
   */
  readonly onLost?: OnLostLeadership | false | undefined
  /**
   * Whether requests that carry the same Idempotency-Key are executed once, over all nodes and leaders: the others get
   * the first answer. Together with `forward` or `leaderOnly` only. As true, or as an object says.
   */
  readonly idempotent?: boolean | RouteIdempotencyOptions | undefined
}

declare module 'fastify' {
  interface FastifyInstance {
    /** The cluster as this node sees it. */
    readonly cluster: Cluster
    /**
     * Marks all routes that are declared after it in this scope and the scopes inside it, as the route options of the
     * same names do. What a route says itself wins. Throws `RAFT_INVALID_OPTIONS` when they contradict
     * each other.
     */
    readonly clusterRoutes: (marks: ClusterRouteMarks) => void
  }

  interface FastifyReply {
    /**
     * Aborts when the client has gone before it had the whole answer, on the leader too when another copy or a gateway
     * forwarded the request. Unlike `request.signal` it works for requests with a body.
     */
    readonly clientSignal: AbortSignal
  }

  // A merged declaration has to repeat the type parameters to the letter.
  /* eslint-disable @typescript-eslint/no-unused-vars */
  interface RouteShorthandOptions<
    RawServer extends RawServerBase = RawServerDefault,
    RawRequest extends RawRequestDefaultExpression<RawServer> = RawRequestDefaultExpression<RawServer>,
    RawReply extends RawReplyDefaultExpression<RawServer> = RawReplyDefaultExpression<RawServer>,
    RouteGeneric extends RouteGenericInterface = RouteGenericInterface,
    ContextConfig = ContextConfigDefault,
    SchemaCompiler extends RouteSchema = RouteSchema,
    TypeProvider extends FastifyTypeProvider = FastifyTypeProviderDefault,
    Logger extends FastifyBaseLogger = FastifyBaseLogger
  > {
    /**
     * The leader serves this route; every other node passes the request on to it. An object stands for true, and says
     * how: `timeoutMs` is the deadline of this route instead of `forward.timeoutMs` of the options.
     */
    forward?: boolean | RouteForwardOptions
    /** Only the leader serves this route; every other node answers 503 and says who leads. */
    leaderOnly?: boolean
    /**
     * Whether a forwarded request may run twice: it is then sent once more when the connection to the leader is lost
     * before an answer came. Left out, GET, HEAD and OPTIONS may, and nothing else. Together with `forward` only.
     */
    repeatable?: boolean
    /** With `leaderOnly`: other nodes send the client to the leader, instead of 503. See `ClusterRouteMarks`. */
    redirect?: 307 | 308 | false
    /** What a GET or HEAD route sees of the replicated state, and where it is served. See `ClusterRouteMarks`. */
    read?: ReadConsistency | false
    /** With `forward` or `leaderOnly`: what becomes of an answer whose leadership is over. See `ClusterRouteMarks`. */
    onLost?: OnLostLeadership | false
    /**
     * Whether requests that carry the same Idempotency-Key are executed once, over all nodes and leaders: the others
     * get the first answer, marked with `idempotent-replayed`. Together with `forward` or `leaderOnly` only. As true,
     * or as an object says.
     */
    idempotent?: boolean | RouteIdempotencyOptions
  }
  /* eslint-enable @typescript-eslint/no-unused-vars */
}
