import type { GatewayOptions, ServerCertificateOptions, TlsOptions } from '../../gateway/index.ts'
import type { CommandDefinition } from './definition.ts'
import type { FlagValues, ListenAddress } from './flag-values.ts'
import { readTlsFlags, tlsFlags } from './tls.ts'

/** Settings of `fastify-raft gateway`. */
export interface GatewaySettings {
  /** Base URLs of the nodes, or names that stand for them. */
  readonly nodes: readonly string[]
  readonly listen: ListenAddress
  /** Header fields of its own questions to the nodes. */
  readonly adminHeaders: Readonly<Record<string, string>> | null
  /** Proxies in front of the gateway whose word is believed. */
  readonly trustProxy: readonly string[]
  readonly secretFile: string | null
  /** What it proves with that it is a gateway of the nodes. */
  readonly secret: string | null
  readonly tls: TlsOptions | null
  /** Certificate that clients are shown. */
  readonly serverTls: ServerCertificateOptions | null
  readonly reads: NonNullable<GatewayOptions['reads']>
  /** Port of its own routes; null: none. */
  readonly adminPort: number | null
  readonly adminOnTraffic: boolean
  /** How long it takes requests after SIGTERM. */
  readonly drainMs: number
  readonly dnsServers: readonly string[]
}

const readPolicies = ['leader', 'any', 'nearest'] as const

/** A command line that asks for `fastify-raft gateway`. */
export interface GatewayCommand {
  readonly kind: 'gateway'
  readonly settings: GatewaySettings
}

export const gatewayCommand: CommandDefinition<GatewayCommand> = {
  name: 'gateway',
  summary: 'run an HTTP gateway that finds the leader and forwards to it',
  usage: '--nodes <url,url,...> [options]',
  about: [
    'Finds the leader among the nodes, follows members as they come and go, and forwards requests to the leader. ' +
      'Logs are JSON lines on standard output. SIGTERM and SIGINT close it within 5 seconds and those of --drain-ms. ' +
      'A flag wins over its environment variable.',
    'A node is named by its URL; dns+http://app.internal:4001 stands for all addresses of that name, and ' +
      'dnssrv+http://_app._tcp.internal for the targets of its SRV records.',
    'Where the nodes have a secret, CLUSTER_GATEWAY_SECRET holds what "fastify-raft secret --for gateway" makes of ' +
      'it, or two with a comma between them while it is being replaced. It has no flag: other users of the machine ' +
      'can read command lines.'
  ],
  words: 0,
  flags: {
    nodes: { value: '<url,url,...>', text: 'base URLs of the nodes, or DNS names of them', variable: 'GATEWAY_NODES' },
    listen: { value: '<host:port>', text: 'where it listens', variable: 'GATEWAY_LISTEN', default: '127.0.0.1:8080' },
    'admin-port': {
      value: '<port>',
      text: 'port of its own livez, readyz, status and metrics, on the host of --listen; none without it',
      variable: 'GATEWAY_ADMIN_PORT'
    },
    'admin-on-traffic': {
      text: 'serve them under /_gateway/ beside the traffic, too',
      variable: 'GATEWAY_ADMIN_ON_TRAFFIC'
    },
    reads: {
      value: '<policy>',
      text: 'where GET and HEAD go: leader, any (ready node) or nearest',
      variable: 'GATEWAY_READS',
      default: 'leader'
    },
    'drain-ms': {
      value: '<ms>',
      text: 'how long it takes requests after SIGTERM, while readyz answers 503',
      variable: 'GATEWAY_DRAIN_MS',
      default: '0'
    },
    'dns-servers': {
      value: '<address,...>',
      text: 'name servers instead of those of the machine',
      variable: 'GATEWAY_DNS_SERVERS'
    },
    'server-tls-cert-file': {
      value: '<file>',
      text: 'certificate to show to clients, over https',
      variable: 'GATEWAY_TLS_CERT_FILE'
    },
    'server-tls-key-file': { value: '<file>', text: 'key of that certificate', variable: 'GATEWAY_TLS_KEY_FILE' },
    'secret-file': {
      value: '<file>',
      text: 'file with what "fastify-raft secret --for gateway" makes of the secret of the nodes',
      variable: 'CLUSTER_GATEWAY_SECRET_FILE'
    },
    'admin-header': {
      value: '<name: value>',
      text: 'header field of its own questions to the nodes, for a proxy that asks for credentials',
      variable: 'GATEWAY_ADMIN_HEADER'
    },
    'trust-proxy': {
      value: '<address,...>',
      text: 'proxies in front whose word on their clients is believed: addresses, ranges such as 10.0.0.0/8, loopback',
      variable: 'GATEWAY_TRUST_PROXY'
    },
    ...tlsFlags
  },
  read: (values) => ({ kind: 'gateway', settings: gatewaySettings(values) })
}

function gatewaySettings (values: FlagValues): GatewaySettings {
  const nodes = values.requiredList('nodes')
  for (const node of nodes) {
    if (!URL.canParse(node.replace(/^dns(?:srv)?\+/i, ''))) {
      throw values.fault('nodes', `must be a list of URLs such as http://127.0.0.1:4001, not "${node}"`)
    }
  }
  return {
    nodes,
    listen: values.listenAddress('listen'),
    adminHeaders: values.header('admin-header'),
    trustProxy: values.list('trust-proxy') ?? [],
    secretFile: values.text('secret-file'),
    secret: values.variable('CLUSTER_GATEWAY_SECRET'),
    tls: readTlsFlags(values),
    serverTls: serverTlsOf(values),
    reads: readPolicyOf(values),
    adminPort: values.isGiven('admin-port') ? values.port('admin-port') : null,
    adminOnTraffic: values.flag('admin-on-traffic'),
    drainMs: values.milliseconds('drain-ms') ?? 0,
    dnsServers: values.list('dns-servers') ?? []
  }
}

function readPolicyOf (values: FlagValues): GatewaySettings['reads'] {
  const text = values.requiredText('reads')
  const policy = readPolicies.find((known) => known === text)
  if (policy === undefined) throw values.fault('reads', `must be leader, any or nearest, not "${text}"`)
  return policy
}

function serverTlsOf (values: FlagValues): ServerCertificateOptions | null {
  const [certFile, keyFile] = ['server-tls-cert-file', 'server-tls-key-file'].map((flag) => values.text(flag))
  if (certFile == null && keyFile == null) return null
  return { ...(certFile == null ? {} : { certFile }), ...(keyFile == null ? {} : { keyFile }) }
}
