import type { TSchema } from 'typebox'
import Type from 'typebox'
import Value from 'typebox/value'
import type { Logger } from '../../raft/index.ts'
import { InvalidOptionsError } from '../../raft/index.ts'
import { readNodeUrl } from '../forward/node-url.ts'

/** Options of `createGateway`. Durations are milliseconds; `gatewayOptionsSchema` holds the defaults and bounds. */
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
  /** Connections of clients that may be open at once. Default 10000. */
  readonly maxConnections?: number
  /** Path prefix of the cluster's own routes, never passed on. Default `/_cluster`. */
  readonly prefix?: string
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
  /** Not logged to anywhere unless given. pino fits. */
  readonly logger?: Logger
}

function durationMs (description: string, minimum: number, maximum: number, byDefault: number) {
  return Type.Optional(
    Type.Integer({ description: `${description} Milliseconds.`, minimum, maximum, default: byDefault })
  )
}

function limit (description: string, minimum: number, byDefault: number) {
  return Type.Optional(Type.Integer({ description, minimum, maximum: 1_000_000, default: byDefault }))
}

/** The options of the gateway but its logger, which is no data. Closed: an option it does not know is refused. */
export const gatewayOptionsSchema = Type.Object(
  {
    nodes: Type.Array(Type.String({ minLength: 1, maxLength: 300 }), {
      description: 'Base URLs of the nodes.',
      minItems: 1,
      maxItems: 64
    }),
    waitForLeaderMs: durationMs('How long a request waits for a leader or a ready node.', 0, 600_000, 5_000),
    timeoutMs: durationMs('Deadline over all attempts until the first header of the answer.', 1, 3_600_000, 30_000),
    maxWaiting: limit('Requests that may wait at once.', 0, 1_000),
    maxInFlight: limit('Requests that may be on their way at once.', 1, 2_048),
    maxConnections: limit('Connections of clients that may be open at once.', 1, 10_000),
    prefix: Type.Optional(
      Type.String({
        description: 'Path prefix that is never passed on.',
        pattern: '^(?:/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+$',
        maxLength: 200,
        default: '/_cluster'
      })
    ),
    pollMs: durationMs('Pause between two looks at each node.', 10, 60_000, 200),
    pollTimeoutMs: durationMs('How long a look at a node may take.', 10, 60_000, 1_000),
    connectTimeoutMs: durationMs('How long connecting to a node may take.', 10, 60_000, 1_000),
    clientHeadersTimeoutMs: durationMs('How long a client may take for its header.', 100, 600_000, 10_000),
    clientRequestTimeoutMs: durationMs('How long a client may take for its whole request.', 100, 86_400_000, 300_000),
    closeTimeoutMs: durationMs('How long close waits for requests under way.', 0, 600_000, 4_000),
    viaName: Type.Optional(
      Type.String({
        description: 'Name in the Via field, a token (RFC 9110 section 5.6.2).',
        pattern: "^[A-Za-z0-9!#$%&'*+.^_`|~-]+$",
        maxLength: 100
      })
    )
  },
  { additionalProperties: false }
)

type Defaulted = Omit<GatewayOptions, 'viaName' | 'logger'>

/** The options with all defaults filled in and the node URLs brought to origins. */
export type ResolvedGatewayOptions = { readonly [Name in keyof Defaulted]-?: NonNullable<Defaulted[Name]> } &
  { readonly viaName: string | null, readonly logger: Logger | null }

/**
 * Checks options and fills in defaults. Throws `RAFT_INVALID_OPTIONS` with every fault listed.
 */
export function readGatewayOptions (options: GatewayOptions): ResolvedGatewayOptions {
  if (typeof options !== 'object' || options === null) throw new InvalidOptionsError('must be an object')
  const { logger = null, ...given } = options
  const faults: string[] = []
  const read = readProperties(gatewayOptionsSchema.properties, given, faults)
  const origins = Array.isArray(given.nodes) ? readNodes(given.nodes, faults) : []
  const { clientHeadersTimeoutMs, clientRequestTimeoutMs } = read as unknown as ResolvedGatewayOptions
  if (faults.length === 0 && clientHeadersTimeoutMs > clientRequestTimeoutMs) {
    faults.push('clientHeadersTimeoutMs: must not be above clientRequestTimeoutMs')
  }
  if (faults.length > 0) throw new InvalidOptionsError(faults.join('; '))
  const values = read as unknown as Omit<ResolvedGatewayOptions, 'nodes' | 'logger' | 'viaName'> & {
    readonly viaName?: string
  }
  return { ...values, viaName: values.viaName ?? null, nodes: origins, logger }
}

/** Property by property, because the validator stops after a handful of errors, and every fault has to be named. */
function readProperties (
  properties: Record<string, TSchema>,
  given: object,
  faults: string[]
): Record<string, unknown> {
  for (const name of Object.keys(given)) {
    if (!Object.hasOwn(properties, name)) faults.push(`${name}: is not a known option`)
  }
  const read: Record<string, unknown> = {}
  for (const [name, schema] of Object.entries(properties)) {
    const value = (given as Record<string, unknown>)[name]
    if (value === undefined) {
      if (name === 'nodes') faults.push('nodes: is required')
      if ('default' in schema) read[name] = schema.default
      continue
    }
    for (const error of Value.Errors(schema, value)) faults.push(`${name}${error.instancePath}: ${error.message}`)
    read[name] = value
  }
  return read
}

function readNodes (nodes: readonly unknown[], faults: string[]): string[] {
  const origins: string[] = []
  nodes.forEach((node, index) => {
    if (typeof node !== 'string' || node === '') return
    const result = readNodeUrl(node)
    if ('fault' in result) faults.push(`nodes/${index}: ${result.fault}`)
    else if (origins.includes(result.origin)) faults.push(`nodes/${index}: "${node}" is listed twice`)
    else origins.push(result.origin)
  })
  return origins
}
