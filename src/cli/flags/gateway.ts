import type { TlsOptions } from '../../gateway/index.ts'
import type { CommandDefinition } from './definition.ts'
import type { FlagValues, ListenAddress } from './flag-values.ts'
import { readTlsFlags, tlsFlags } from './tls.ts'

/** Settings of `fastify-raft gateway`. */
export interface GatewaySettings {
  /** Base URLs of the nodes. */
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
}

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
    'Finds the leader among the nodes, forwards writes to it and reads to any ready node. Logs are JSON lines on ' +
      'standard output. SIGTERM and SIGINT close it within 5 seconds. A flag wins over its environment variable.',
    'Where the nodes have a secret, CLUSTER_GATEWAY_SECRET holds what "fastify-raft secret --for gateway" makes of ' +
      'it, or two with a comma between them while it is being replaced. It has no flag: other users of the machine ' +
      'can read command lines.'
  ],
  words: 0,
  flags: {
    nodes: { value: '<url,url,...>', text: 'base URLs of the nodes', variable: 'GATEWAY_NODES' },
    listen: { value: '<host:port>', text: 'where it listens', variable: 'GATEWAY_LISTEN', default: '127.0.0.1:8080' },
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
    if (!URL.canParse(node)) {
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
    tls: readTlsFlags(values)
  }
}
