import type { Flag, FlagValues } from './flag-values.ts'
import { UsageError } from './flag-values.ts'

/** What `fastify-raft members` was asked to do, and the node it asks. */
export interface MembersSettings {
  /** Base URL of any node. */
  readonly node: string
  readonly action:
    | { readonly kind: 'list' }
    | { readonly kind: 'add' | 'set-url', readonly id: string, readonly url: string, readonly ifVersion: number | null }
    | { readonly kind: 'promote' | 'demote' | 'remove', readonly id: string, readonly ifVersion: number | null }
}

/** What `fastify-raft leader` was asked to do, and the node it asks. */
export interface LeaderSettings {
  /** Base URL of any node. */
  readonly node: string
  readonly action:
    | { readonly kind: 'show' }
    | { readonly kind: 'transfer', readonly to: string | null }
    | { readonly kind: 'step-down' }
}

export const membersFlags = {
  node: { type: 'string', variable: 'CLUSTER_NODE' },
  id: { type: 'string' },
  url: { type: 'string' },
  'if-version': { type: 'string' }
} as const satisfies Record<string, Flag>

export const leaderFlags = {
  node: { type: 'string', variable: 'CLUSTER_NODE' },
  to: { type: 'string' }
} as const satisfies Record<string, Flag>

/** The word behind the command's name, if there is one, and the rest of the command line. */
export function splitAction (argv: readonly string[]): {
  readonly action: string | null
  readonly rest: readonly string[]
} {
  const [first, ...rest] = argv
  return first === undefined || first.startsWith('-') ? { action: null, rest: argv } : { action: first, rest }
}

/** Throws {@link UsageError}. */
export function membersSettings (values: FlagValues, action: string | null): MembersSettings {
  const node = readNode(values)
  switch (action) {
    case null:
    case 'list':
      refuse(values, action ?? 'list', ['id', 'url', 'if-version'])
      return { node, action: { kind: 'list' } }
    case 'add':
    case 'set-url':
      return {
        node,
        action: {
          kind: action,
          id: values.requiredText('id'),
          url: readUrl(values, 'url'),
          ifVersion: readVersion(values)
        }
      }
    case 'promote':
    case 'demote':
    case 'remove':
      refuse(values, action, ['url'])
      return { node, action: { kind: action, id: values.requiredText('id'), ifVersion: readVersion(values) } }
    default:
      throw new UsageError(`Unknown action "${action}": list, add, promote, demote, remove or set-url`, 'members')
  }
}

/** Throws {@link UsageError}. */
export function leaderSettings (values: FlagValues, action: string | null): LeaderSettings {
  const node = readNode(values)
  switch (action) {
    case null:
    case 'show':
      refuse(values, action ?? 'show', ['to'])
      return { node, action: { kind: 'show' } }
    case 'transfer': return { node, action: { kind: action, to: values.text('to') } }
    case 'step-down':
      refuse(values, action, ['to'])
      return { node, action: { kind: action } }
    default: throw new UsageError(`Unknown action "${action}": show, transfer or step-down`, 'leader')
  }
}

/** Base URL of the node to ask. Throws {@link UsageError}. */
export function readNode (values: FlagValues): string {
  return new URL(readUrl(values, 'node')).origin
}

function readUrl (values: FlagValues, flag: string): string {
  const text = values.requiredText(flag)
  if (!URL.canParse(text) || !/^https?:$/.test(new URL(text).protocol)) {
    throw values.fault(flag, `must be a URL such as http://127.0.0.1:4001, not "${text}"`)
  }
  return text
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

function refuse (values: FlagValues, action: string, flags: readonly string[]): void {
  for (const flag of flags) {
    if (values.text(flag) !== null) throw values.fault(flag, `does not go together with ${action}`)
  }
}
