import type { TlsOptions } from '../../gateway/index.ts'
import type { Member } from '../../raft/index.ts'
import type { CommandDefinition } from './definition.ts'
import type { FlagValues, ListenAddress } from './flag-values.ts'
import { readTlsFlags, tlsFlags } from './tls.ts'

/** Settings of `fastify-raft node`. Absent values take the defaults of the plugin. */
export interface NodeSettings {
  readonly id: string
  readonly listen: ListenAddress
  readonly members: readonly Member[] | null
  /** Base URLs of nodes of a running cluster. */
  readonly join: readonly string[] | null
  /** Where the others reach a node that joins. */
  readonly url: string | null
  readonly dataDir: string | null
  readonly minFreeBytes: number | null
  readonly clusterId: string | null
  readonly secretFile: string | null
  readonly secret: string | null
  readonly tokensFile: string | null
  /** With a certificate it serves https. */
  readonly tls: TlsOptions | null
  readonly tlsNames: 'any' | 'uri' | null
  /** Names in the certificates of gateways. */
  readonly tlsGateways: readonly string[] | null
  readonly insecure: boolean
  /** Header fields of its own calls of other nodes. */
  readonly adminHeaders: Readonly<Record<string, string>> | null
  readonly leaveOnClose: boolean
  readonly heartbeatMs: number | null
  readonly electionTimeoutMinMs: number | null
  readonly electionTimeoutMaxMs: number | null
}

/** A command line that asks for `fastify-raft node`. */
export interface NodeCommand {
  readonly kind: 'node'
  readonly settings: NodeSettings
}

export const nodeCommand: CommandDefinition<NodeCommand> = {
  name: 'node',
  summary: 'run one node of a cluster, with an example app (orders)',
  usage: '--id <id> [options]',
  about: [
    'Runs one node. Logs are JSON lines on standard output. SIGTERM and SIGINT close it within 5 seconds, ' +
      'or 8 if it leaves. A flag wins over its environment variable.',
    'With a certificate (--tls-cert-file, --tls-key-file, --tls-ca-file) it serves https, and its peers have to show ' +
      'theirs.',
    'CLUSTER_SECRET holds what all nodes share ("fastify-raft secret" makes it), or two with a comma between them ' +
      'while it is being replaced. It has no flag: other users of the machine can read command lines.'
  ],
  words: 0,
  flags: {
    id: { value: '<id>', text: 'who this node is, forever', variable: 'CLUSTER_NODE_ID' },
    listen: { value: '<host:port>', text: 'where it listens', variable: 'CLUSTER_LISTEN', default: '127.0.0.1:4001' },
    members: {
      value: '<id=url,id=url,...>',
      text: 'all members, this one included; left out: a cluster of one',
      variable: 'CLUSTER_MEMBERS'
    },
    join: {
      value: '<url,url,...>',
      text: 'instead of --members: nodes of a running cluster that let this one in',
      variable: 'CLUSTER_JOIN'
    },
    url: { value: '<url>', text: 'where the others reach this node; only with --join', variable: 'CLUSTER_URL' },
    'data-dir': {
      value: '<directory>',
      text: 'log and votes; left out: memory',
      variable: 'CLUSTER_DATA_DIR'
    },
    'min-free-bytes': {
      value: '<n>',
      text: 'refuse writes below so much free space',
      variable: 'CLUSTER_MIN_FREE_BYTES',
      pluginDefault: '67108864'
    },
    'cluster-id': {
      value: '<name>',
      text: 'which cluster it belongs to; refuses nodes of others',
      variable: 'CLUSTER_ID',
      pluginDefault: 'default'
    },
    'secret-file': {
      value: '<file>',
      text: 'file with what all nodes share, as "fastify-raft secret" makes it',
      variable: 'CLUSTER_SECRET_FILE'
    },
    'tokens-file': {
      value: '<file>',
      text: 'JSON file with the tokens of those who may call the routes under v1',
      variable: 'CLUSTER_TOKENS_FILE'
    },
    ...tlsFlags,
    'tls-names': {
      value: '<any|uri>',
      text: 'uri: take only certificates with a URI for this cluster',
      variable: 'CLUSTER_TLS_NAMES'
    },
    'tls-gateways': {
      value: '<name,...>',
      text: 'names in the certificates of gateways, which may forward',
      variable: 'CLUSTER_TLS_GATEWAYS'
    },
    insecure: { text: 'allow members off loopback without a secret or certificates', variable: 'CLUSTER_INSECURE' },
    'leave-on-close': {
      text: 'leave the cluster for good when it is told to stop; the last voter stays',
      variable: 'CLUSTER_LEAVE_ON_CLOSE'
    },
    'admin-header': {
      value: '<name: value>',
      text: 'header field of its own calls of other nodes: a token where there is no secret, or what a proxy asks for',
      variable: 'CLUSTER_ADMIN_HEADER'
    },
    'heartbeat-ms': {
      value: '<ms>',
      text: 'pause between two heartbeats',
      variable: 'CLUSTER_HEARTBEAT_MS',
      pluginDefault: '100'
    },
    'election-timeout-min-ms': {
      value: '<ms>',
      text: 'shortest silence of the leader before a campaign',
      variable: 'CLUSTER_ELECTION_TIMEOUT_MIN_MS',
      pluginDefault: '500'
    },
    'election-timeout-max-ms': {
      value: '<ms>',
      text: 'longest silence of the leader before a campaign',
      variable: 'CLUSTER_ELECTION_TIMEOUT_MAX_MS',
      pluginDefault: '1000'
    }
  },
  retiredVariables: {
    CLUSTER_NAME: 'CLUSTER_NAME is no longer read: put the name of the cluster into CLUSTER_ID, and the id of the ' +
      'node, which CLUSTER_ID used to hold, into CLUSTER_NODE_ID'
  },
  sections: {
    Example: [
      'fastify-raft node --id n1 --listen 127.0.0.1:4001 --data-dir ./data/n1 \\',
      '  --members n1=http://127.0.0.1:4001,n2=http://127.0.0.1:4002,n3=http://127.0.0.1:4003'
    ]
  },
  read: (values) => ({ kind: 'node', settings: nodeSettings(values) })
}

// Duplicate ids, bad URLs and timing are judged by the plugin, so that each rule stands in one place.
function nodeSettings (values: FlagValues): NodeSettings {
  return {
    id: nodeId(values),
    listen: values.listenAddress('listen'),
    members: values.members('members'),
    join: values.list('join'),
    url: values.text('url'),
    dataDir: values.text('data-dir'),
    minFreeBytes: values.bytes('min-free-bytes'),
    clusterId: values.text('cluster-id'),
    secretFile: values.text('secret-file'),
    secret: values.variable('CLUSTER_SECRET'),
    tokensFile: values.text('tokens-file'),
    tls: readTlsFlags(values),
    tlsNames: nameForm(values),
    tlsGateways: values.list('tls-gateways'),
    insecure: values.flag('insecure'),
    adminHeaders: values.header('admin-header'),
    leaveOnClose: values.flag('leave-on-close'),
    heartbeatMs: values.milliseconds('heartbeat-ms'),
    electionTimeoutMinMs: values.milliseconds('election-timeout-min-ms'),
    electionTimeoutMaxMs: values.milliseconds('election-timeout-max-ms')
  }
}

function nameForm (values: FlagValues): 'any' | 'uri' | null {
  const text = values.text('tls-names')
  if (text === null || text === 'any' || text === 'uri') return text
  throw values.fault('tls-names', `must be any or uri, not "${text}"`)
}

function nodeId (values: FlagValues): string {
  // CLUSTER_ID was the id of the node once: an old environment without CLUSTER_NAME is refused here.
  if (!values.isGiven('id') && values.isGiven('cluster-id')) {
    throw values.fault('id', 'is required: CLUSTER_ID names the cluster, not the node')
  }
  return values.requiredText('id')
}
