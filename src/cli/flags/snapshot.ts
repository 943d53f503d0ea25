import type { TlsOptions } from '../../gateway/index.ts'
import type { Member } from '../../raft/index.ts'
import { credentialFlags, type CredentialSettings, readCredentials } from './credentials.ts'
import type { CommandDefinition } from './definition.ts'
import { type FlagValues, UsageError } from './flag-values.ts'
import { readTlsFlags, tlsFlags } from './tls.ts'

/** The action of `fastify-raft snapshot`, and the file of the snapshot. */
export type SnapshotSettings =
  | { readonly action: 'inspect', readonly file: string, readonly json: boolean }
  /** With a node, that one takes a snapshot first: it runs on this data directory. */
  | {
    readonly action: 'save'
    readonly file: string
    readonly dataDir: string
    readonly node: string | null
    readonly credentials: CredentialSettings
    readonly tls: TlsOptions | null
  }
  | {
    readonly action: 'restore'
    readonly file: string
    readonly dataDir: string
    readonly id: string
    readonly members: readonly Member[]
    readonly clusterId: string
    readonly skipEntries: number
  }

/** A command line that asks for `fastify-raft snapshot`. */
export interface SnapshotCommand {
  readonly kind: 'snapshot'
  readonly settings: SnapshotSettings
}

export const snapshotCommand: CommandDefinition<SnapshotCommand> = {
  name: 'snapshot',
  summary: 'inspect a snapshot, save one, or start a new cluster from one',
  usage: '<inspect | save | restore> <file> [options]',
  about: [
    '"inspect" reads a snapshot to its end and says what it is. "save" copies the newest one of a data directory ' +
      'to a new file, also while its node runs; later writes are not in it. With --node that node takes one first. ' +
      '"restore" makes a data directory of it, for a node of a new cluster: run it once for each member, with the ' +
      'same file and options but for --id and --data-dir.',
    'A fencing token is an index of the log, and the old cluster may have granted tokens after the snapshot. So ' +
      'the new log starts --skip-entries behind the snapshot: more than the old cluster can have written since. ' +
      'Stop the old cluster first.'
  ],
  words: 2,
  flags: {
    'data-dir': { value: '<directory>', text: 'save: whose snapshot; restore: what to make, new or empty' },
    node: { value: '<url>', text: 'save: the node that runs on it', variable: 'CLUSTER_NODE' },
    ...credentialFlags,
    id: { value: '<id>', text: 'restore: who the node is to be' },
    members: { value: '<id=url,id=url,...>', text: 'restore: all members of the new cluster' },
    'cluster-id': { value: '<name>', text: 'restore: its name', default: 'default' },
    'skip-entries': {
      value: '<n>',
      text: 'restore: how far the new log starts behind the snapshot',
      default: '1000000000'
    },
    json: { text: 'inspect: one line of JSON' },
    ...tlsFlags
  },
  sections: {
    'Exit codes': ['0   done', '1   damaged or refused', '2   the command line is wrong'],
    Example: [
      'fastify-raft snapshot save ./orders.snapshot --data-dir ./data/n1',
      'fastify-raft snapshot restore ./orders.snapshot --data-dir ./new/n1 --id n1 \\',
      '  --members n1=http://127.0.0.1:4001,n2=http://127.0.0.1:4002,n3=http://127.0.0.1:4003'
    ]
  },
  read: (values, words) => ({ kind: 'snapshot', settings: snapshotSettings(values, words) })
}

function snapshotSettings (values: FlagValues, [action, file = '']: readonly string[]): SnapshotSettings {
  const actions = 'inspect, save or restore'
  if (action === undefined) throw new UsageError(`Say what to do: ${actions}`, 'snapshot')
  if (action !== 'inspect' && action !== 'save' && action !== 'restore') {
    throw new UsageError(`Unknown action "${action}": ${actions}`, 'snapshot')
  }
  if (file === '') throw new UsageError(`${action} needs a file`, 'snapshot')
  const onlyRestore = ['id', 'members', 'cluster-id', 'skip-entries']
  switch (action) {
    case 'inspect':
      values.refuse(action, ['data-dir', ...onlyRestore])
      return { action, file, json: values.flag('json') }
    case 'save':
      values.refuse(action, onlyRestore)
      return {
        action,
        file,
        dataDir: values.requiredText('data-dir'),
        node: values.isGiven('node') ? values.nodeUrl('node') : null,
        credentials: readCredentials(values),
        tls: readTlsFlags(values)
      }
    case 'restore': return { action, file, dataDir: values.requiredText('data-dir'), ...restoreSettings(values) }
  }
}

function restoreSettings (values: FlagValues): {
  readonly id: string
  readonly members: readonly Member[]
  readonly clusterId: string
  readonly skipEntries: number
} {
  const id = values.requiredText('id')
  const members = values.requiredMembers('members')
  if (!members.some((member) => member.id === id)) {
    throw values.fault('id', `"${id}" is not one of the members (${members.map((member) => member.id).join(', ')})`)
  }
  const skip = values.requiredText('skip-entries')
  if (!/^[1-9][0-9]{0,12}$/.test(skip)) {
    throw values.fault('skip-entries', `must be a whole number of entries above 0, not "${skip}"`)
  }
  return { id, members, clusterId: values.requiredText('cluster-id'), skipEntries: Number(skip) }
}
