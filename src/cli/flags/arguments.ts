import type { Member } from '../../raft/index.ts'
import type { LeaderSettings, MembersSettings } from './admin-arguments.ts'
import { leaderFlags, leaderSettings, membersFlags, membersSettings, readNode, splitAction } from './admin-arguments.ts'
import { type Environment, type Flag, type Flags, FlagValues, maxPort, parseFlags, UsageError } from './flag-values.ts'
import { type CommandName, helpTexts } from './help.ts'

/** Where a server listens. */
export interface ListenAddress {
  readonly host: string
  readonly port: number
}

/** What `fastify-raft node` was asked to be. Absent values take the plugin's defaults. */
export interface NodeSettings {
  readonly id: string
  readonly listen: ListenAddress
  readonly members: readonly Member[] | null
  readonly join: readonly string[] | null
  /** Where the others reach it, for a node that joins. */
  readonly url: string | null
  readonly dataDir: string | null
  readonly minFreeBytes: number | null
  readonly clusterId: string | null
  readonly insecure: boolean
  readonly heartbeatMs: number | null
  readonly electionTimeoutMinMs: number | null
  readonly electionTimeoutMaxMs: number | null
}

/** What `fastify-raft gateway` was asked to be. */
export interface GatewaySettings {
  readonly nodes: readonly string[]
  readonly listen: ListenAddress
}

/** What `fastify-raft local` was asked to run. A null directory means a temporary one, removed at the end. */
export interface LocalSettings {
  readonly dataDir: string | null
  /** Loopback ports of the three nodes, then that of the gateway. */
  readonly ports: readonly number[]
}

/** What `fastify-raft wal` was asked to look at. */
export interface WalSettings {
  readonly action: 'inspect' | 'verify'
  readonly directory: string
  readonly json: boolean
}

/** What `fastify-raft snapshot` was asked to do. */
export type SnapshotSettings =
  | { readonly action: 'inspect', readonly file: string, readonly json: boolean }
  /** With a node, that one takes a snapshot first: it runs on this data directory. */
  | { readonly action: 'save', readonly file: string, readonly dataDir: string, readonly node: string | null }
  | {
    readonly action: 'restore'
    readonly file: string
    readonly dataDir: string
    readonly id: string
    readonly members: readonly Member[]
    readonly clusterId: string
    readonly skipEntries: number
  }

/** What `fastify-raft demo` was asked to do. A null directory means a temporary one, removed at the end. */
export interface DemoSettings {
  readonly dataDir: string | null
}

/** A command line, understood. */
export type Command =
  | { readonly kind: 'print', readonly text: string }
  | { readonly kind: 'version' }
  | { readonly kind: 'node', readonly settings: NodeSettings }
  | { readonly kind: 'gateway', readonly settings: GatewaySettings }
  | { readonly kind: 'members', readonly settings: MembersSettings }
  | { readonly kind: 'leader', readonly settings: LeaderSettings }
  | { readonly kind: 'wal', readonly settings: WalSettings }
  | { readonly kind: 'snapshot', readonly settings: SnapshotSettings }
  | { readonly kind: 'local', readonly settings: LocalSettings }
  | { readonly kind: 'demo', readonly settings: DemoSettings }

const nodeFlags = {
  id: { type: 'string', variable: 'CLUSTER_ID' },
  listen: { type: 'string', variable: 'CLUSTER_LISTEN' },
  members: { type: 'string', variable: 'CLUSTER_MEMBERS' },
  join: { type: 'string', variable: 'CLUSTER_JOIN' },
  url: { type: 'string', variable: 'CLUSTER_URL' },
  'data-dir': { type: 'string', variable: 'CLUSTER_DATA_DIR' },
  'min-free-bytes': { type: 'string', variable: 'CLUSTER_MIN_FREE_BYTES' },
  'cluster-id': { type: 'string', variable: 'CLUSTER_NAME' },
  insecure: { type: 'boolean', variable: 'CLUSTER_INSECURE' },
  'heartbeat-ms': { type: 'string', variable: 'CLUSTER_HEARTBEAT_MS' },
  'election-timeout-min-ms': { type: 'string', variable: 'CLUSTER_ELECTION_TIMEOUT_MIN_MS' },
  'election-timeout-max-ms': { type: 'string', variable: 'CLUSTER_ELECTION_TIMEOUT_MAX_MS' }
} as const satisfies Record<string, Flag>

const gatewayFlags = {
  nodes: { type: 'string', variable: 'GATEWAY_NODES' },
  listen: { type: 'string', variable: 'GATEWAY_LISTEN' }
} as const satisfies Record<string, Flag>

const walFlags = { json: { type: 'boolean' } } as const satisfies Record<string, Flag>

const snapshotFlags = {
  'data-dir': { type: 'string' },
  node: { type: 'string', variable: 'CLUSTER_NODE' },
  id: { type: 'string' },
  members: { type: 'string' },
  'cluster-id': { type: 'string' },
  'skip-entries': { type: 'string' },
  json: { type: 'boolean' }
} as const satisfies Record<string, Flag>

const localFlags = {
  'data-dir': { type: 'string' },
  'first-port': { type: 'string' },
  'gateway-port': { type: 'string' }
} as const satisfies Record<string, Flag>

const demoFlags = { 'data-dir': { type: 'string' } } as const satisfies Record<string, Flag>

const localNodes = 3

/**
 * Reads a command line (without the interpreter and the program) and the environment.
 * Throws {@link UsageError} for whatever cannot be understood. What only the plugin can judge (duplicate ids, bad
 * URLs, timing) is left to the plugin, so that each rule stands in one place.
 */
export function parseCommandLine (argv: readonly string[], environment: Environment): Command {
  const [name, ...rest] = argv
  switch (name) {
    case undefined:
    case '--help':
    case '-h':
    case 'help':
      return { kind: 'print', text: helpTexts.general }
    case '--version':
    case '-v':
      return { kind: 'version' }
    case 'node':
      return commandOf(name, nodeFlags, rest, environment, (values) => ({
        kind: name,
        settings: nodeSettings(values)
      }))
    case 'gateway':
      return commandOf(name, gatewayFlags, rest, environment, (values) => ({
        kind: name,
        settings: gatewaySettings(values)
      }))
    case 'members': {
      const { action, rest: flags } = splitAction(rest)
      return commandOf(name, membersFlags, flags, environment, (values) => ({
        kind: name,
        settings: membersSettings(values, action)
      }))
    }
    case 'leader': {
      const { action, rest: flags } = splitAction(rest)
      return commandOf(name, leaderFlags, flags, environment, (values) => ({
        kind: name,
        settings: leaderSettings(values, action)
      }))
    }
    case 'wal': {
      const { action, rest: behind } = splitAction(rest)
      const { action: directory, rest: flags } = splitAction(behind)
      return commandOf(name, walFlags, flags, environment, (values) => ({
        kind: name,
        settings: walSettings(values, action, directory)
      }))
    }
    case 'snapshot': {
      const { action, rest: behind } = splitAction(rest)
      const { action: file, rest: flags } = splitAction(behind)
      return commandOf(name, snapshotFlags, flags, environment, (values) => ({
        kind: name,
        settings: snapshotSettings(values, action, file)
      }))
    }
    case 'local':
      return commandOf(name, localFlags, rest, environment, (values) => ({
        kind: name,
        settings: localSettings(values)
      }))
    case 'demo':
      return commandOf(name, demoFlags, rest, environment, (values) => ({
        kind: name,
        settings: { dataDir: values.text('data-dir') }
      }))
    default:
      throw new UsageError(name.startsWith('-') ? `Unknown option ${name}` : `Unknown command "${name}"`)
  }
}

function commandOf (
  name: CommandName,
  flags: Flags,
  argv: readonly string[],
  environment: Environment,
  build: (values: FlagValues) => Command
): Command {
  const values = parseFlags(name, flags, argv)
  if (values.help === true) return { kind: 'print', text: helpTexts[name] }
  return build(new FlagValues(name, flags, values, environment))
}

function nodeSettings (values: FlagValues): NodeSettings {
  const members = values.text('members')
  return {
    id: values.requiredText('id'),
    listen: parseListen(values, '127.0.0.1:4001'),
    members: members === null ? null : parseMembers(values, members),
    join: values.text('join')?.split(',').map((url) => url.trim()) ?? null,
    url: values.text('url'),
    dataDir: values.text('data-dir'),
    minFreeBytes: values.bytes('min-free-bytes'),
    clusterId: values.text('cluster-id'),
    insecure: values.flag('insecure'),
    heartbeatMs: values.milliseconds('heartbeat-ms'),
    electionTimeoutMinMs: values.milliseconds('election-timeout-min-ms'),
    electionTimeoutMaxMs: values.milliseconds('election-timeout-max-ms')
  }
}

function gatewaySettings (values: FlagValues): GatewaySettings {
  const nodes = values.requiredText('nodes').split(',').map((node) => node.trim())
  for (const node of nodes) {
    if (!URL.canParse(node)) {
      throw values.fault('nodes', `must be a list of URLs such as http://127.0.0.1:4001, not "${node}"`)
    }
  }
  return { nodes, listen: parseListen(values, '127.0.0.1:8080') }
}

function walSettings (values: FlagValues, action: string | null, directory: string | null): WalSettings {
  if (action !== 'inspect' && action !== 'verify') {
    throw new UsageError(
      action === null ? 'Say what to do: inspect or verify' : `Unknown action "${action}": inspect or verify`,
      'wal'
    )
  }
  if (directory === null || directory === '') throw new UsageError(`${action} needs a data directory`, 'wal')
  return { action, directory, json: values.flag('json') }
}

function snapshotSettings (values: FlagValues, action: string | null, file: string | null): SnapshotSettings {
  const known = action === 'inspect' || action === 'save' || action === 'restore' ? action : null
  if (known === null) {
    throw new UsageError(
      action === null
        ? 'Say what to do: inspect, save or restore'
        : `Unknown action "${action}": inspect, save or restore`,
      'snapshot'
    )
  }
  if (file === null || file === '') throw new UsageError(`${known} needs a file`, 'snapshot')
  const only = (flags: readonly string[]): void => {
    for (const flag of ['data-dir', 'id', 'members', 'cluster-id', 'skip-entries']) {
      if (!flags.includes(flag) && values.text(flag) !== null) {
        throw values.fault(flag, `does not go together with ${known}`)
      }
    }
  }
  switch (known) {
    case 'inspect':
      only([])
      return { action: known, file, json: values.flag('json') }
    case 'save':
      only(['data-dir', 'node'])
      return {
        action: known,
        file,
        dataDir: values.requiredText('data-dir'),
        node: values.text('node') === null ? null : readNode(values)
      }
    case 'restore': return { action: known, file, dataDir: values.requiredText('data-dir'), ...restoreSettings(values) }
  }
}

function restoreSettings (values: FlagValues): {
  readonly id: string
  readonly members: readonly Member[]
  readonly clusterId: string
  readonly skipEntries: number
} {
  const id = values.requiredText('id')
  const members = parseMembers(values, values.requiredText('members'))
  if (!members.some((member) => member.id === id)) {
    throw values.fault('id', `"${id}" is not one of the members (${members.map((member) => member.id).join(', ')})`)
  }
  const skip = values.text('skip-entries') ?? '1000000000'
  if (!/^[1-9][0-9]{0,12}$/.test(skip)) {
    throw values.fault('skip-entries', `must be a whole number of entries above 0, not "${skip}"`)
  }
  return { id, members, clusterId: values.text('cluster-id') ?? 'default', skipEntries: Number(skip) }
}

function localSettings (values: FlagValues): LocalSettings {
  const firstPort = values.port('first-port') ?? 4001
  const gatewayPort = values.port('gateway-port') ?? 8080
  const nodePorts = Array.from({ length: localNodes }, (_, position) => firstPort + position)
  if (firstPort + localNodes - 1 > maxPort) throw values.fault('first-port', `must leave room for ${localNodes} ports`)
  if (nodePorts.includes(gatewayPort)) {
    throw values.fault('gateway-port', `must not be one of the nodes' ports ${nodePorts.join(', ')}`)
  }
  return { dataDir: values.text('data-dir'), ports: [...nodePorts, gatewayPort] }
}

function parseMembers (values: FlagValues, text: string): Member[] {
  return text.split(',').map((part) => {
    const match = /^\s*([^=\s]+)=(\S+)\s*$/.exec(part)
    const [, id, url] = match ?? []
    if (id === undefined || url === undefined) {
      throw values.fault(
        'members',
        `must look like n1=http://127.0.0.1:4001,n2=http://127.0.0.1:4002, but has "${part}"`
      )
    }
    return { id, url }
  })
}

function parseListen (values: FlagValues, fallback: string): ListenAddress {
  const text = values.text('listen') ?? fallback
  const [, bracketed, plain, digits] = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]\s]+)):([0-9]{1,5})$/.exec(text) ?? []
  const host = bracketed ?? plain
  const port = Number(digits)
  if (host === undefined || port > maxPort) {
    throw values.fault('listen', `must look like 127.0.0.1:4001 or [::1]:4001, not "${text}"`)
  }
  return { host, port }
}
