import { InvalidOptionsError } from '../raft/index.ts'
import type { Member } from '../raft/index.ts'
import { isLoopbackHostname } from './loopback.ts'
import { readMemberUrl } from './member-url.ts'
import { optionsSchema } from './options-schema.ts'
import type { ClusterOptions } from './options-schema.ts'
import { readBySchema } from './schema-reader.ts'
import type { Fault } from './schema-reader.ts'

/** The options with every default filled in and every rule checked. */
export interface ResolvedOptions {
  readonly id: string
  readonly clusterId: string
  /** All members with normalized URLs. A lone node that was given no address has an empty one. */
  readonly members: readonly Member[]
  /** Null: in memory. */
  readonly dataDir: string | null
  readonly prefix: string
  readonly insecure: boolean
  readonly heartbeatMs: number
  readonly electionTimeoutMinMs: number
  readonly electionTimeoutMaxMs: number
  readonly requestTimeoutMs: number
  readonly forward: {
    readonly waitForLeaderMs: number
    readonly timeoutMs: number
    readonly maxWaiting: number
  }
}

/** The options after the schema: defaults are in, and only `id`, `members` and `dataDir` may still be missing. */
type FilledOptions = Omit<ResolvedOptions, 'id' | 'members' | 'dataDir'> & Pick<ClusterOptions, 'id' | 'members' | 'dataDir'>

/**
 * Checks the options and fills in the defaults. Repairs nothing: throws one `RAFT_INVALID_OPTIONS` error that lists
 * every fault with its path.
 */
export function resolveOptions (input: unknown): ResolvedOptions {
  const faults: Fault[] = []
  const filled = readBySchema(optionsSchema, input ?? {}, '', faults) as FilledOptions
  // A part that failed the schema is skipped by the rules below: it has been named once already.
  const ofSchema = [...faults]
  const sound = (path: string): boolean => !ofSchema.some((fault) => fault.path === path || fault.path.startsWith(`${path}[`))
  const members = sound('members') ? readMembers(filled, faults) : []
  if (sound('members') && sound('id')) checkIdentity(filled, faults)
  if (sound('heartbeatMs') && sound('electionTimeoutMinMs') && sound('electionTimeoutMaxMs')) checkTiming(filled, faults)
  if (faults.length > 0) throw new InvalidOptionsError(describeFaults(faults))
  const id = filled.id ?? 'n1'
  return { ...filled, id, members: filled.members === undefined ? [{ id, url: '' }] : members, dataDir: filled.dataDir ?? null }
}

function describeFaults (faults: readonly Fault[]): string {
  const lines = faults.map((fault) => fault.path === '' ? fault.message : `${fault.path} ${fault.message}`)
  return lines.length === 1 ? lines.join() : lines.map((line) => `\n  - ${line}`).join('')
}

function checkIdentity ({ id, members }: FilledOptions, faults: Fault[]): void {
  if (members === undefined) return
  if (id === undefined) {
    faults.push({ path: 'id', message: 'is required together with members: it says which of them this node is' })
  } else if (!members.some((member) => member.id === id)) {
    faults.push({ path: 'id', message: `"${id}" is not one of the members (${members.map((member) => member.id).join(', ')})` })
  }
}

function checkTiming ({ heartbeatMs, electionTimeoutMinMs, electionTimeoutMaxMs }: FilledOptions, faults: Fault[]): void {
  if (electionTimeoutMinMs <= 3 * heartbeatMs) {
    faults.push({ path: 'electionTimeoutMinMs', message: `must be above three heartbeats (${3 * heartbeatMs}), or a single late heartbeat starts an election; got ${electionTimeoutMinMs}` })
  }
  if (electionTimeoutMaxMs <= electionTimeoutMinMs) {
    faults.push({ path: 'electionTimeoutMaxMs', message: `must be above electionTimeoutMinMs (${electionTimeoutMinMs}), or elections tie; got ${electionTimeoutMaxMs}` })
  }
}

function readMembers ({ members, insecure }: FilledOptions, faults: Fault[]): readonly Member[] {
  const ids = new Map<string, number>()
  const urls = new Map<string, number>()
  const once = (seen: Map<string, number>, value: string, index: number, path: string): void => {
    const first = seen.get(value)
    if (first === undefined) seen.set(value, index)
    else faults.push({ path, message: `"${value}" is that of members[${first}] already` })
  }
  const read: Member[] = []
  for (const [index, member] of (members ?? []).entries()) {
    once(ids, member.id, index, `members[${index}].id`)
    const url = readMemberUrl(member.url)
    if (url.kind === 'fault') {
      faults.push({ path: `members[${index}].url`, message: url.message })
      continue
    }
    once(urls, url.origin, index, `members[${index}].url`)
    if (members !== undefined && members.length > 1 && insecure !== true && !isLoopbackHostname(url.hostname)) {
      faults.push({ path: `members[${index}].url`, message: `${url.origin} is not on this machine, and peers are not authenticated: set insecure: true if the network is trusted` })
    }
    read.push({ id: member.id, url: url.origin })
  }
  return read
}
