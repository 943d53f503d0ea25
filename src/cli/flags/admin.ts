import type { TlsOptions } from '../../gateway/index.ts'
import { credentialFlags, type CredentialSettings, readCredentials } from './credentials.ts'
import type { CommandDefinition } from './definition.ts'
import { type FlagValues, UsageError } from './flag-values.ts'
import { readTlsFlags, tlsFlags } from './tls.ts'

/** The node that a command calls. */
export interface AdminTarget {
  /** Base URL of any node. */
  readonly node: string
  readonly credentials: CredentialSettings
  /** How it is called over https; null: as Node does it. */
  readonly tls: TlsOptions | null
}

/** The action of `fastify-raft members`, and the node to ask. */
export interface MembersSettings extends AdminTarget {
  readonly action:
    | { readonly kind: 'list' }
    | { readonly kind: 'add' | 'set-url', readonly id: string, readonly url: string, readonly ifVersion: number | null }
    | { readonly kind: 'promote' | 'demote' | 'remove', readonly id: string, readonly ifVersion: number | null }
}

/** The action of `fastify-raft leader`, and the node to ask. */
export interface LeaderSettings extends AdminTarget {
  readonly action:
    | { readonly kind: 'show' }
    | { readonly kind: 'transfer', readonly to: string | null }
    | { readonly kind: 'step-down' }
}

/** A command line that asks for `fastify-raft members`. */
export interface MembersCommand {
  readonly kind: 'members'
  readonly settings: MembersSettings
}

/** A command line that asks for `fastify-raft leader`. */
export interface LeaderCommand {
  readonly kind: 'leader'
  readonly settings: LeaderSettings
}

/** Flags of all commands that call a node, in two parts with those of the command between. */
export const targetFlags = {
  node: { node: { value: '<url>', text: 'base URL of any node', variable: 'CLUSTER_NODE' } },
  access: { ...credentialFlags, ...tlsFlags }
} as const

export const membersCommand: CommandDefinition<MembersCommand> = {
  name: 'members',
  summary: 'list, add, promote, demote, remove or move members of a running cluster',
  usage: '[list | add | promote | demote | remove | set-url] --node <url> [options]',
  about: [
    'Lists the members of a running cluster, or changes them; any node may be asked. A new member starts as a ' +
      'learner: it receives the log and does not vote. A node started with --join adds and promotes itself.'
  ],
  words: 1,
  flags: {
    ...targetFlags.node,
    id: { value: '<id>', text: 'the member to add, promote, demote, remove or move' },
    url: { value: '<url>', text: 'add, set-url: where the others reach the member' },
    'if-version': { value: '<n>', text: 'refuse the change unless the membership is at this version' },
    ...targetFlags.access
  },
  read: (values, [action]) => ({ kind: 'members', settings: membersSettings(values, action) })
}

export const leaderCommand: CommandDefinition<LeaderCommand> = {
  name: 'leader',
  summary: 'say who leads, transfer leadership, or make the leader step down',
  usage: '[show | transfer | step-down] --node <url> [options]',
  about: [
    'Says who leads a running cluster, transfers leadership, or makes the leader step down; any node may be asked.'
  ],
  words: 1,
  flags: {
    ...targetFlags.node,
    to: { value: '<id>', text: 'transfer: who is to lead; left out: the most caught up voter' },
    ...targetFlags.access
  },
  read: (values, [action]) => ({ kind: 'leader', settings: leaderSettings(values, action) })
}

/** The node to call, and how. Throws {@link UsageError}. */
export function readTarget (values: FlagValues): AdminTarget {
  return { node: values.nodeUrl('node'), credentials: readCredentials(values), tls: readTlsFlags(values) }
}

function membersSettings (values: FlagValues, action = 'list'): MembersSettings {
  const target = readTarget(values)
  switch (action) {
    case 'list':
      values.refuse(action, ['id', 'url', 'if-version'])
      return { ...target, action: { kind: action } }
    case 'add':
    case 'set-url': {
      const id = values.requiredText('id')
      return { ...target, action: { kind: action, id, url: values.requiredUrl('url'), ifVersion: readVersion(values) } }
    }
    case 'promote':
    case 'demote':
    case 'remove':
      values.refuse(action, ['url'])
      return { ...target, action: { kind: action, id: values.requiredText('id'), ifVersion: readVersion(values) } }
    default:
      throw new UsageError(`Unknown action "${action}": list, add, promote, demote, remove or set-url`, 'members')
  }
}

function leaderSettings (values: FlagValues, action = 'show'): LeaderSettings {
  const target = readTarget(values)
  switch (action) {
    case 'transfer': return { ...target, action: { kind: action, to: values.text('to') } }
    case 'show':
    case 'step-down':
      values.refuse(action, ['to'])
      return { ...target, action: { kind: action } }
    default: throw new UsageError(`Unknown action "${action}": show, transfer or step-down`, 'leader')
  }
}

function readVersion (values: FlagValues): number | null {
  const text = values.text('if-version')
  if (text === null) return null
  const version = Number(text)
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(version)) {
    throw values.fault('if-version', `must be the version of a membership, not "${text}"`)
  }
  return version
}
