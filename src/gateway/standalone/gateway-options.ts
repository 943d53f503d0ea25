import { isIP } from 'node:net'
import type { Logger } from '../../raft/index.ts'
import { InvalidOptionsError } from '../../raft/index.ts'
import type { GatewaySecret } from '../../raft/internal.ts'
import { readGatewaySecrets } from '../../raft/internal.ts'
import { forwardDefaults } from '../forward/types.ts'
import type { AdminHeaders } from '../options/admin-headers.ts'
import { adminHeadersSchema, checkAdminHeaders } from '../options/admin-headers.ts'
import {
  count,
  durationMs,
  informational,
  nodeUrl,
  pathPrefix,
  serverTlsSchema,
  tlsSchema
} from '../options/option-schemas.ts'
import { Type } from '../options/schema.ts'
import type { Fault } from '../options/schema-reader.ts'
import { readBySchema } from '../options/schema-reader.ts'
import type { ResolvedSecret } from '../options/secret-options.ts'
import { readSecretOptions, secretSchemas } from '../options/secret-options.ts'
import type { Seed } from '../options/seed.ts'
import { readSeed, seedText } from '../options/seed.ts'
import type { ResolvedTls, ServerCertificateOptions, TlsOptions } from '../options/tls.ts'
import { readServerTls, readTls } from '../options/tls.ts'
import type { TrustsAddress } from '../options/trusted-proxies.ts'
import { readTrustedProxies } from '../options/trusted-proxies.ts'

/** Options of `createGateway`. Durations are milliseconds; their bounds are checked by `createGateway`. */
export interface GatewayOptions {
  /**
   * Base URLs of nodes: scheme, host and port, and nothing else. `dns+http://app.internal:4001` stands for all
   * addresses of that name (A and AAAA), `dnssrv+http://_app._tcp.internal` for the targets of its SRV records. Names
   * are resolved again and again, and have to be fully qualified: search domains do not count.
   */
  readonly nodes: readonly string[]
  /**
   * Whether members that the nodes tell of are followed as well, as they come and go. Default true: one node that is up
   * is enough to find the others. Their URLs are those that the members call each other by.
   */
  readonly followMembers?: boolean
  /** Pause between two looks at the DNS. Default 5000. */
  readonly dnsIntervalMs?: number
  /** Addresses of name servers, with a port if it is not 53. Default: those of the machine. */
  readonly dnsServers?: readonly string[]
  /**
   * Where GET and HEAD go: to the `leader` (default), to `any` node that is ready, or to the `nearest` ones. All other
   * methods go to the leader. A node that does not lead may not know yet what was just written through the leader: what
   * such a read answers is for the application to say.
   */
  readonly reads?: 'leader' | 'any' | 'nearest'
  /** Reads that fail in a row until a node gets none for a while, unless there is no other. Default 3. */
  readonly ejectAfterFailures?: number
  /** For how long; doubled with each failure from then on. Default 1000. */
  readonly ejectMs?: number
  /** How long a request waits while no leader (for a read: no ready node) is known. Default 5000. */
  readonly waitForLeaderMs?: number
  /** Deadline over all attempts until the answer's first header; a running upload extends it. Default 30000. */
  readonly timeoutMs?: number
  /** Requests that may wait at once; the next one is answered 503 at once. Default 1000. */
  readonly maxWaiting?: number
  /** Requests that may be on their way at once; the next one is answered 503 at once. Default 2048. */
  readonly maxInFlight?: number
  /**
   * Requests of one client address that may wait or be on their way at once; the next one is answered 503. Proxies in
   * `trustProxy` carry many clients and have no such bound. Default 750.
   */
  readonly maxPerClient?: number
  /**
   * Whether informational answers (102 and 103, RFC 9110 section 15.2) are passed on to clients. false behind a proxy
   * that takes them for the answer, as nginx does. Default true.
   */
  readonly informational?: boolean
  /** Connections of clients that may be open at once. Default 10000. */
  readonly maxConnections?: number
  /** Path prefix of the cluster's own routes, never passed on. Default `/_cluster`. */
  readonly prefix?: string
  /**
   * How nodes with https URLs are called. Default: as Node does it, with the authorities that it trusts. With a
   * certificate the gateway proves to the nodes that it is one.
   */
  readonly tls?: TlsOptions
  /**
   * What the gateway proves to the nodes that it is theirs with: what `fastify-raft secret --for gateway` makes of the
   * secret of the nodes. Two while that is being replaced. Needed where the nodes have one. Default none.
   */
  readonly secret?: string | readonly string[]
  /** File with that, or with two, one a line, instead of `secret`. Read again when it changes. */
  readonly secretFile?: string
  /** Header fields of its own questions to the nodes, for a proxy in front of them that asks for credentials. */
  readonly adminHeaders?: AdminHeaders
  /** Pause between two looks at each node. Default 200. */
  readonly pollMs?: number
  /** How long a look at a node may take. Default 1000. */
  readonly pollTimeoutMs?: number
  /** How long connecting to a node may take. Default 1000. */
  readonly connectTimeoutMs?: number
  /** How long a client may take for its request's header. Default 10000. */
  readonly clientHeadersTimeoutMs?: number
  /** How long a client may take for its whole request. Default 300000. */
  readonly clientRequestTimeoutMs?: number
  /** The certificate that clients are shown, over https. Default: they come over http. */
  readonly serverTls?: ServerCertificateOptions
  /**
   * Port of the gateway's own routes `livez`, `readyz`, `status` and `metrics`, on the host that it listens on; 0 takes
   * a free one. They answer whoever can reach it, and name the nodes. Default: there is none.
   */
  readonly adminPort?: number
  /** Whether the same routes are served under `/_gateway/` beside the traffic. Default false. */
  readonly adminOnTraffic?: boolean
  /**
   * How long `close` goes on to take requests once its `readyz` answers 503, so that balancers notice. Default 0.
   */
  readonly drainMs?: number
  /** How long `close` then waits for requests under way before it cuts them. Default 4000. */
  readonly closeTimeoutMs?: number
  /** Name in the Via field, a token. Default: `fastify-raft-gateway-` and a random suffix, so that gateways differ. */
  readonly viaName?: string
  /**
   * Proxies in front of the gateway, as addresses, ranges such as `10.0.0.0/8`, or `loopback`, `linklocal` and
   * `uniquelocal`. What they say in `X-Forwarded-Proto` and `-Host` is passed on as it is. Of any other client the
   * gateway says itself how it came. Default none.
   */
  readonly trustProxy?: readonly string[]
  /** Not logged to anywhere unless given. pino fits. */
  readonly logger?: Logger
}

const maxLimit = 1_000_000

/** The options of the gateway but its logger, which is no data. Closed: an option it does not know is refused. */
const gatewayOptionsSchema = Type.Object(
  {
    nodes: Type.Array(nodeUrl('Base URL of a node, with `dns+` or `dnssrv+` in front of a name to be resolved.'), {
      description: 'Base URLs of the nodes.',
      minItems: 1,
      maxItems: 64
    }),
    followMembers: Type.Optional(Type.Boolean({ description: 'Follow members that nodes tell of.', default: true })),
    dnsIntervalMs: durationMs('Pause between two looks at the DNS.', 100, 3_600_000, 5_000),
    dnsServers: Type.Optional(
      Type.Array(Type.String({ description: 'Address of a name server.', minLength: 1, maxLength: 100 }), {
        description: 'Name servers instead of those of the machine.',
        maxItems: 8
      })
    ),
    reads: Type.Optional(Type.String({
      description: 'Where GET and HEAD go.',
      pattern: '^(?:leader|any|nearest)$',
      mustBe: 'leader, any or nearest',
      default: 'leader'
    })),
    ejectAfterFailures: count('Failed reads in a row until a node gets none for a while.', 1, 1_000, 3),
    ejectMs: durationMs('How long a node is left alone then.', 1, 3_600_000, 1_000),
    waitForLeaderMs: durationMs('How long a request waits for a leader or a ready node.', 0, 600_000, 5_000),
    timeoutMs: durationMs('Deadline over all attempts until the first header of the answer.', 1, 3_600_000, 30_000),
    maxWaiting: count('Requests that may wait at once.', 0, maxLimit, 1_000),
    maxInFlight: count('Requests that may be on their way at once.', 1, maxLimit, forwardDefaults.maxInFlight),
    maxPerClient: count('Requests of one client that may wait or be on their way at once.', 1, maxLimit, 750),
    informational,
    maxConnections: count('Connections of clients that may be open at once.', 1, maxLimit, 10_000),
    prefix: pathPrefix('Path prefix that is never passed on.'),
    tls: Type.Optional(tlsSchema),
    ...secretSchemas(
      'What the gateway proves with that it is one: what `fastify-raft secret --for gateway` makes of the secret of ' +
        'the nodes. Two while it is being replaced.'
    ),
    adminHeaders: Type.Optional(adminHeadersSchema),
    pollMs: durationMs('Pause between two looks at each node.', 10, 60_000, 200),
    pollTimeoutMs: durationMs('How long a look at a node may take.', 10, 60_000, 1_000),
    connectTimeoutMs: durationMs(
      'How long connecting to a node may take.',
      10,
      60_000,
      forwardDefaults.connectTimeoutMs
    ),
    clientHeadersTimeoutMs: durationMs('How long a client may take for its header.', 100, 600_000, 10_000),
    clientRequestTimeoutMs: durationMs('How long a client may take for its whole request.', 100, 86_400_000, 300_000),
    serverTls: Type.Optional(serverTlsSchema),
    adminPort: Type.Optional(Type.Integer({ description: 'Port of its own routes.', minimum: 0, maximum: 65_535 })),
    adminOnTraffic: Type.Optional(Type.Boolean({ description: 'Serve them beside the traffic, too.', default: false })),
    drainMs: durationMs('How long close takes requests after its readyz answers 503.', 0, 600_000, 0),
    closeTimeoutMs: durationMs('How long close waits for requests under way.', 0, 600_000, 4_000),
    viaName: Type.Optional(
      Type.String({
        description: 'Name in the Via field, a token (RFC 9110 section 5.6.2).',
        pattern: "^[A-Za-z0-9!#$%&'*+.^_`|~-]+$",
        mustBe: "a token of letters, digits and !#$%&'*+.^_`|~-",
        maxLength: 100
      })
    ),
    trustProxy: Type.Optional(
      Type.Array(Type.String({ description: 'An address, or a range or its name.', minLength: 1, maxLength: 100 }), {
        description: 'Proxies in front of the gateway whose word about their clients is believed.',
        maxItems: 64
      })
    )
  },
  { additionalProperties: false }
)

type Defaulted = Omit<GatewayOptions, Defaultless | 'tls' | 'nodes'>

/** The options with all defaults filled in and the node URLs brought to origins. */
export type ResolvedGatewayOptions = { readonly [Name in keyof Defaulted]-?: NonNullable<Defaulted[Name]> } &
  { readonly nodes: readonly Seed[], readonly dnsServers: readonly string[], readonly adminPort: number | null } &
  { readonly viaName: string | null, readonly adminHeaders: AdminHeaders, readonly logger: Logger | null } &
  { readonly trustsClient: TrustsAddress, readonly tls: ResolvedTls, readonly serverTls: ResolvedTls | null } &
  { readonly secret: ResolvedSecret<GatewaySecret> | null }

/** The options after the schema: defaults are in, where there are any. */
type SchemaOptions = Required<Defaulted> &
  Pick<GatewayOptions, Exclude<Defaultless, 'trustProxy' | 'logger'> | 'tls'>
type Defaultless =
  'viaName' | 'adminHeaders' | 'trustProxy' | 'logger' | 'secret' | 'secretFile' | 'dnsServers' | 'adminPort' |
  'serverTls'

/**
 * Checks options and fills in defaults. Throws `RAFT_INVALID_OPTIONS` with every fault listed.
 */
export function readGatewayOptions (options: GatewayOptions): ResolvedGatewayOptions {
  if (typeof options !== 'object' || options === null) throw new InvalidOptionsError('must be an object')
  const { logger = null, ...given } = options
  const faults: Fault[] = []
  const read = readBySchema(gatewayOptionsSchema, given, '', faults) as SchemaOptions
  const nodes = Array.isArray(given.nodes) ? readNodes(given.nodes, faults) : []
  const { trustProxy = [] } = given
  const trustsClient = readTrustedProxies(Array.isArray(trustProxy) ? trustProxy : [], 'trustProxy', faults)
  const secret = faults.some(({ path }) => path.startsWith('secret'))
    ? null
    : readSecretOptions(read, readGatewaySecrets, faults)
  const tls = readTls(read.tls, null, faults)
  const serverTls = given.serverTls === undefined ? null : readServerTls(read.serverTls ?? {}, 'serverTls', faults)
  const dnsServers = readNameServers(Array.isArray(given.dnsServers) ? given.dnsServers : [], faults)
  checkAdminHeaders(read.adminHeaders, faults)
  if (faults.length === 0 && read.clientHeadersTimeoutMs > read.clientRequestTimeoutMs) {
    faults.push({ path: 'clientHeadersTimeoutMs', message: 'must not be above clientRequestTimeoutMs' })
  }
  if (faults.length > 0) {
    throw new InvalidOptionsError(faults.map(({ path, message }) => `${path}: ${message}`).join('; '))
  }
  const { secretFile: _, viaName = null, adminHeaders = {}, adminPort = null, ...filled } = read
  const own = { viaName, adminHeaders, adminPort, nodes, logger, dnsServers }
  return { ...filled, ...own, trustsClient, secret, tls, serverTls }
}

function readNodes (nodes: readonly unknown[], faults: Fault[]): Seed[] {
  const seeds = new Map<string, Seed>()
  nodes.forEach((node, index) => {
    if (typeof node !== 'string' || node === '') return
    const path = `nodes[${index}]`
    const read = readSeed(node)
    if (read.kind === 'fault') {
      faults.push({ path, message: read.message })
      return
    }
    const text = seedText(read.seed)
    if (seeds.has(text)) faults.push({ path, message: `"${node}" is listed twice` })
    seeds.set(text, read.seed)
  })
  return [...seeds.values()]
}

function readNameServers (servers: readonly unknown[], faults: Fault[]): readonly string[] {
  return servers.filter((server, index): server is string => {
    if (typeof server !== 'string') return false
    // An address, or one with a port.
    const [, bracketed, plain = server] = /^(?:\[([^\]]+)\]|([\d.]+))(?::\d{1,5})?$/.exec(server) ?? []
    if (isIP(bracketed ?? plain) !== 0) return true
    faults.push({ path: `dnsServers[${index}]`, message: 'must be an address, with a port if it is not 53' })
    return false
  })
}
