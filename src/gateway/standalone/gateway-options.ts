import type { Logger } from '../../raft/index.ts'
import { InvalidOptionsError } from '../../raft/index.ts'
import type { GatewaySecret } from '../../raft/internal.ts'
import { readGatewaySecrets } from '../../raft/internal.ts'
import { forwardDefaults } from '../forward/types.ts'
import type { AdminHeaders } from '../options/admin-headers.ts'
import { adminHeadersSchema, checkAdminHeaders } from '../options/admin-headers.ts'
import { readNodeUrl } from '../options/node-url.ts'
import { count, durationMs, nodeUrl, pathPrefix, tlsSchema } from '../options/option-schemas.ts'
import { Type } from '../options/schema.ts'
import type { Fault } from '../options/schema-reader.ts'
import { readBySchema } from '../options/schema-reader.ts'
import type { ResolvedSecret } from '../options/secret-options.ts'
import { readSecretOptions, secretSchemas } from '../options/secret-options.ts'
import type { ResolvedTls, TlsOptions } from '../options/tls.ts'
import { readTls } from '../options/tls.ts'
import type { TrustsAddress } from '../options/trusted-proxies.ts'
import { readTrustedProxies } from '../options/trusted-proxies.ts'

/** Options of `createGateway`. Durations are milliseconds; their bounds are checked by `createGateway`. */
export interface GatewayOptions {
  /** Base URLs of the nodes: scheme, host and port, and nothing else. */
  readonly nodes: readonly string[]
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
  /** How long `close` waits for requests under way before it cuts them. Default 4000. */
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
    nodes: Type.Array(nodeUrl('Base URL of a node: scheme, host and port, and nothing else.'), {
      description: 'Base URLs of the nodes.',
      minItems: 1,
      maxItems: 64
    }),
    waitForLeaderMs: durationMs('How long a request waits for a leader or a ready node.', 0, 600_000, 5_000),
    timeoutMs: durationMs('Deadline over all attempts until the first header of the answer.', 1, 3_600_000, 30_000),
    maxWaiting: count('Requests that may wait at once.', 0, maxLimit, 1_000),
    maxInFlight: count('Requests that may be on their way at once.', 1, maxLimit, forwardDefaults.maxInFlight),
    maxPerClient: count('Requests of one client that may wait or be on their way at once.', 1, maxLimit, 750),
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

type Defaulted = Omit<GatewayOptions, Defaultless | 'tls'>

/** The options with all defaults filled in and the node URLs brought to origins. */
export type ResolvedGatewayOptions = { readonly [Name in keyof Defaulted]-?: NonNullable<Defaulted[Name]> } &
  { readonly viaName: string | null, readonly adminHeaders: AdminHeaders, readonly logger: Logger | null } &
  { readonly trustsClient: TrustsAddress, readonly tls: ResolvedTls } &
  { readonly secret: ResolvedSecret<GatewaySecret> | null }

/** The options after the schema: defaults are in, where there are any. */
type SchemaOptions = Required<Defaulted> &
  Pick<GatewayOptions, 'viaName' | 'adminHeaders' | 'tls' | 'secret' | 'secretFile'>
type Defaultless = 'viaName' | 'adminHeaders' | 'trustProxy' | 'logger' | 'secret' | 'secretFile'

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
  checkAdminHeaders(read.adminHeaders, faults)
  if (faults.length === 0 && read.clientHeadersTimeoutMs > read.clientRequestTimeoutMs) {
    faults.push({ path: 'clientHeadersTimeoutMs', message: 'must not be above clientRequestTimeoutMs' })
  }
  if (faults.length > 0) {
    throw new InvalidOptionsError(faults.map(({ path, message }) => `${path}: ${message}`).join('; '))
  }
  const { secretFile: _, viaName = null, adminHeaders = {}, ...filled } = read
  return { ...filled, viaName, adminHeaders, nodes, logger, trustsClient, secret, tls }
}

function readNodes (nodes: readonly unknown[], faults: Fault[]): string[] {
  const origins: string[] = []
  nodes.forEach((node, index) => {
    if (typeof node !== 'string' || node === '') return
    const path = `nodes[${index}]`
    const url = readNodeUrl(node)
    if (url.kind === 'fault') faults.push({ path, message: url.message })
    else if (origins.includes(url.origin)) faults.push({ path, message: `"${node}" is listed twice` })
    else origins.push(url.origin)
  })
  return origins
}
