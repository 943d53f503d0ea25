import type { Static } from 'typebox'
import {
  adminHeadersSchema,
  count,
  durationMs,
  informational,
  nodeUrl,
  pathPrefix,
  secretSchemas,
  tlsProperties,
  Type
} from '../../gateway/internal.ts'
import { defaults, defaultSnapshotPolicy, sessionLimits } from '../../raft/internal.ts'
import { idempotencyDefaults, limits, routeIdempotencyDefaults } from '../replicated/limits.ts'
import type { Authorize } from './access.ts'
import { idRule, maxMembers } from './member-rules.ts'
import { tokensSchema } from './tokens.ts'

const memberSchema = Type.Object(
  {
    id: Type.String({ description: 'Stable identity of the member. Never an address.', ...idRule }),
    url: nodeUrl('Where the other members reach it: http or https, host and port, and nothing else.')
  },
  { additionalProperties: false }
)

/** Bounds of the deadline of a forwarded request, in milliseconds. */
const forwardTimeoutMs = { minimum: 1, maximum: 3_600_000 } as const

/** What a route may say of its forwarded requests, instead of what the options say of all. Closed. */
export const routeForwardSchema = Type.Object(
  {
    timeoutMs: Type.Optional(
      Type.Integer({
        description:
          'Deadline of a forwarded request of this route until the response headers, all attempts together. ' +
            'Milliseconds. Left out: that of the options.',
        ...forwardTimeoutMs
      })
    )
  },
  { additionalProperties: false }
)

/** What a route may say of requests that carry an Idempotency-Key. Closed. */
export const routeIdempotencySchema = Type.Object(
  {
    ttlMs: Type.Optional(
      Type.Integer({
        description:
          'How long an answer is remembered at least. Milliseconds of log time. Left out: `idempotency.horizonMs` of ' +
            'the options.',
        minimum: limits.minHorizonMs,
        maximum: limits.maxHorizonMs
      })
    ),
    maxBytes: count(
      'Size of an answer that is remembered, fields and body. Of a longer one only the status is.',
      0,
      limits.maxRequestAnswerBytes,
      routeIdempotencyDefaults.keptAnswerBytes
    ),
    headers: Type.Optional(
      Type.Array(
        Type.String({
          description: 'Name of a field.',
          pattern: '^[\\w!#$%&\'*+.^`|~-]+$',
          maxLength: 100,
          mustBe: 'a token'
        }),
        {
          description: 'Fields of an answer that are remembered beside those that tell of its body.',
          maxItems: 32,
          default: ['etag', 'location']
        }
      )
    ),
    onUnknown: Type.Optional(
      Type.Union([Type.Literal('fail'), Type.Literal('retry')], {
        description:
          'When nobody knows what a handler did, because its leader died or it answered 5xx: `fail` never runs it ' +
            'again for the key (at most once), `retry` lets the next request run it (at least once).',
        default: 'fail'
      })
    ),
    required: Type.Optional(
      Type.Boolean({ description: 'Refuse requests without a key with 400.', default: false })
    ),
    graceMs: durationMs(
      'How long a new leader waits for the answer of a handler that an earlier one began.',
      0,
      600_000,
      routeIdempotencyDefaults.graceMs
    )
  },
  { additionalProperties: false }
)

const forwardSchema = Type.Object(
  {
    waitForLeaderMs: durationMs(
      'How long a forwarded request waits for a leader during an election.',
      0,
      600_000,
      3_000
    ),
    timeoutMs: durationMs(
      'Deadline of a forwarded request until the response headers, all attempts together.',
      forwardTimeoutMs.minimum,
      forwardTimeoutMs.maximum,
      30_000
    ),
    maxWaiting: Type.Optional(
      Type.Integer({
        description: 'Requests that may wait for a leader at once; the next one gets 503 at once.',
        minimum: 0,
        maximum: 1_000_000,
        default: 1_000
      })
    ),
    informational
  },
  { additionalProperties: false }
)

const snapshotsSchema = Type.Object(
  {
    everyEntries: count(
      'A snapshot is taken after so many entries of the log since the last one.',
      10,
      100_000_000,
      defaultSnapshotPolicy.entries
    ),
    everyBytes: count(
      'A snapshot is taken after so many bytes of the log since the last one, if that comes first.',
      1_024,
      2 ** 40,
      defaultSnapshotPolicy.bytes
    ),
    trailingEntries: count(
      'Entries before a snapshot that the log keeps, so that a member that is a little behind needs no snapshot.',
      0,
      100_000_000,
      defaultSnapshotPolicy.trailingEntries
    ),
    trailingBytes: count('At most so many bytes of those entries.', 0, 2 ** 40, defaultSnapshotPolicy.trailingBytes),
    bytesPerSecond: count(
      'How fast a snapshot is sent to one member.',
      1_024,
      2 ** 40,
      defaultSnapshotPolicy.bytesPerSecond
    )
  },
  { additionalProperties: false }
)

const idempotencySchema = Type.Object(
  {
    horizonMs: durationMs(
      'How long an idempotency key is remembered at least: a command that is repeated within it is applied once. ' +
        'Counted in log time.',
      limits.minHorizonMs,
      limits.maxHorizonMs,
      idempotencyDefaults.horizonMs
    ),
    maxBytes: count(
      'How much all remembered keys of the cluster may take, with their answers. A command with a new key is refused ' +
        'with `RAFT_BUSY` while they do, for no key is forgotten before its horizon.',
      65_536,
      4_294_967_296,
      idempotencyDefaults.maxBytes
    )
  },
  { additionalProperties: false }
)

/** How members call each other over https, and prove who they are. Closed. */
const clusterTlsSchema = Type.Object(
  {
    ...tlsProperties,
    names: Type.Optional(
      Type.Union([Type.Literal('any'), Type.Literal('uri')], {
        description:
          'Which names of certificates count: `any` takes URIs such as fastify-raft://clusterId/id where a ' +
            'certificate has them, and its DNS names otherwise; `uri` takes the URIs alone, for an authority that ' +
            'serves others too.',
        default: 'any'
      })
    ),
    gateways: Type.Optional(
      Type.Array(Type.String({ description: 'Name in the certificate of a gateway.', ...idRule }), {
        description: 'Names of gateways: with a certificate for such a name they may forward, and ask who leads.',
        maxItems: 64,
        default: []
      })
    )
  },
  { additionalProperties: false }
)

/**
 * The options of the plugin but `authorize`, which is no data. Closed: an option it does not know is refused.
 */
export const optionsSchema = Type.Object(
  {
    id: Type.Optional(
      Type.String({
        description:
          'Stable identity of this node, and one of `members` if those are given. `n1` for a cluster of one.',
        ...idRule
      })
    ),
    clusterId: Type.Optional(
      Type.String({
        description: 'Name of the cluster; nodes of another cluster are not talked to.',
        ...idRule,
        default: 'default'
      })
    ),
    members: Type.Optional(
      Type.Array(memberSchema, {
        description:
          'All members, this node included. Only the seed of the first start: from then on the log says who ' +
            'belongs, and these URLs only where to look for them. Left out, and no `join`: a cluster of one.',
        minItems: 1,
        maxItems: maxMembers
      })
    ),
    join: Type.Optional(
      Type.Array(nodeUrl('A node of the running cluster.'), {
        description:
          'URLs of nodes of a running cluster that adds this node. Instead of `members`, and together with `id` and ' +
            '`url`.',
        minItems: 1,
        maxItems: maxMembers
      })
    ),
    url: Type.Optional(
      nodeUrl('Where the other members reach this node. Only together with `join`; otherwise `members` says it.')
    ),
    publicUrl: Type.Optional(
      nodeUrl(
        'Where clients reach this node, for `redirect` of routes: scheme, host and port, and nothing else. May be ' +
          'elsewhere than where the other members do; never that of a balancer in front of several nodes.'
      )
    ),
    dataDir: Type.Optional(
      Type.String({
        description: 'Directory of the log. Left out: in memory, and gone with the process.',
        minLength: 1
      })
    ),
    minFreeBytes: Type.Optional(
      Type.Integer({
        description:
          'Free bytes in the file system of `dataDir` below which a leader refuses what may let the state grow, with ' +
            '`RAFT_BUSY`, before a write fails for it. Deletes, and held locks, are written from what is left.',
        minimum: 0,
        maximum: 1_125_899_906_842_624,
        default: defaults.minFreeBytes
      })
    ),
    prefix: pathPrefix('Path under which everything of the cluster lives. The same on all members.'),
    ...secretSchemas(
      'What all nodes of the cluster share and nobody else knows: 32 random bytes or more, as `fastify-raft secret` ' +
        'makes them. Peers prove with it that they belong. Two while it is being replaced: the first is used, both ' +
        'are accepted.'
    ),
    tokens: Type.Optional(tokensSchema),
    tokensFile: Type.Optional(
      Type.String({
        description:
          'File with such a list in JSON, instead of `tokens`. Read again when it changes. Nobody but its owner and ' +
            'group may be allowed to read it.',
        minLength: 1
      })
    ),
    insecure: Type.Optional(
      Type.Boolean({
        description:
          'Accept members beyond this machine although nothing proves who they are, and clients as well, unless ' +
            '`tokens` or `authorize` decide about those.',
        default: false
      })
    ),
    tls: Type.Optional(clusterTlsSchema),
    adminHeaders: Type.Optional(adminHeadersSchema),
    openApi: Type.Optional(
      Type.Boolean({
        description: 'Show the routes under the prefix in the OpenAPI document of the application (@fastify/swagger).',
        default: false
      })
    ),
    heartbeatMs: durationMs('Pause between two heartbeats of the leader.', 10, 60_000, 100),
    electionTimeoutMinMs: durationMs(
      'Shortest silence of the leader after which a member campaigns. More than three heartbeats.',
      40,
      600_000,
      500
    ),
    electionTimeoutMaxMs: durationMs(
      'Longest silence of the leader after which a member campaigns.',
      50,
      1_200_000,
      defaults.electionTimeoutMaxMs
    ),
    requestTimeoutMs: durationMs(
      'How long a read, a write or a wait takes at most when it names no time of its own.',
      1,
      600_000,
      5_000
    ),
    closeTimeoutMs: durationMs(
      'How long requests and singletons that are under way may go on once the application closes; then they are ended.',
      0,
      600_000,
      // Below the 10 seconds after which Docker kills a process that was to stop.
      8_000
    ),
    sessionTtlMs: durationMs(
      'How long the cluster remembers which commands of this node it has applied when this node sends none: no ' +
        'command may be under way for longer. Counted in log time.',
      sessionLimits.minTtlMs,
      sessionLimits.maxTtlMs,
      defaults.sessionTtlMs
    ),
    processSessionTtlMs: durationMs(
      'How long the session of this process, which owns its locks, ephemeral keys and spread tasks, lives after a ' +
        'beat: how soon the others take it for gone.',
      limits.minSessionTtlMs,
      limits.maxSessionTtlMs,
      10_000
    ),
    maxLagMs: durationMs(
      'How far this node may be behind the leader and still be ready; it is ready again at half of that.',
      100,
      3_600_000,
      10_000
    ),
    leaveOnClose: Type.Optional(
      Type.Boolean({
        description:
          'For copies that never come back under their id: when the application closes, the node hands leadership ' +
            'over and is removed from the cluster, unless it is the last voter. The next copy joins.',
        default: false
      })
    ),
    debugHashes: Type.Optional(
      Type.Boolean({
        description:
          'For development and tests: compares the replicated state between the nodes now and then, and stops a ' +
            'node that differs from the leader; freezes the states of state machines. The same on all members.',
        default: false
      })
    ),
    idempotency: Type.Optional(idempotencySchema),
    forward: Type.Optional(forwardSchema),
    snapshots: Type.Optional(snapshotsSchema)
  },
  { additionalProperties: false }
)

/**
 * What `app.register(cluster, options)` takes. Everything may be left out: then it is a cluster of one, in memory, that
 * leads at once. Durations are milliseconds; `optionsSchema` holds each option's description, default and bounds.
 */
export type ClusterOptions = Static<typeof optionsSchema> & {
  /** Decides who may call the routes under `v1`, instead of tokens. */
  readonly authorize?: Authorize | undefined
}

/** How the requests of one route are forwarded to the leader. */
export type RouteForwardOptions = Static<typeof routeForwardSchema>

/** What of {@link routeIdempotencySchema} is data. */
export type RouteIdempotencyValues = Static<typeof routeIdempotencySchema>

/** How requests are forwarded to the leader. */
export type ForwardOptions = Static<typeof forwardSchema>

/** How members call each other over https, and prove who they are. */
export type TlsOptions = Static<typeof clusterTlsSchema>
