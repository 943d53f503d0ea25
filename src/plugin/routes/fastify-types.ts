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
  }
  /* eslint-enable @typescript-eslint/no-unused-vars */
}
