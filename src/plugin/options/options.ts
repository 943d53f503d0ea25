import type { AdminHeaders, Fault, ResolvedSecret } from '../../gateway/internal.ts'
import { checkAdminHeaders, readBySchema, readNodeUrl, readSecretOptions } from '../../gateway/internal.ts'
import type { Member, Secret } from '../../raft/index.ts'
import { InvalidOptionsError, readSecrets } from '../../raft/index.ts'
import type { NameRules } from '../../raft/internal.ts'
import type { Authorize } from './access.ts'
import { describeFaults } from './faults.ts'
import { isLoopbackHostname } from './loopback.ts'
import type { MemberReach } from './member-rules.ts'
import type { ClusterOptions } from './options-schema.ts'
import { optionsSchema } from './options-schema.ts'
import type { ResolvedClusterTls } from './tls.ts'
import { hasCertificate, readClusterTls } from './tls.ts'
import type { ResolvedTokens } from './tokens.ts'
import { readTokenOptions } from './tokens.ts'
import { waysOut } from './ways-out.ts'

/** The options with every default filled in and every rule checked. */
export interface ResolvedOptions {
  readonly id: string
  readonly clusterId: string
  /**
   * All members with normalized URLs; none for a node that joins. A lone node that was given no address has an empty
   * one.
   */
  readonly members: readonly Member[]
  /** Normalized URLs of the nodes to ask; null for a node that does not join. */
  readonly join: readonly string[] | null
  /** Where the others reach this node; empty for a lone node that was given no address. */
  readonly url: string
  /** Where clients reach this node; null when it was not told. */
  readonly publicUrl: string | null
  /** Null: in memory. */
  readonly dataDir: string | null
  readonly minFreeBytes: number
  readonly prefix: string
  /** What peers prove that they belong with; null: they are not authenticated. */
  readonly secret: ResolvedSecret<Secret> | null
  /** What callers of the routes under `v1` show; null: there are none. */
  readonly tokens: ResolvedTokens | null
  /** Decides in place of tokens; null: nothing does. */
  readonly authorize: Authorize | null
  readonly insecure: boolean
  /** Whether members may be on other machines: they prove who they are, or `insecure` was said. */
  readonly remoteMembers: boolean
  readonly tls: ResolvedClusterTls
  readonly adminHeaders: AdminHeaders
  readonly openApi: boolean
  readonly leaveOnClose: boolean
  readonly debugHashes: boolean
  readonly heartbeatMs: number
  readonly electionTimeoutMinMs: number
  readonly electionTimeoutMaxMs: number
  readonly requestTimeoutMs: number
  readonly closeTimeoutMs: number
  readonly sessionTtlMs: number
  readonly processSessionTtlMs: number
  readonly maxLagMs: number
  readonly idempotency: {
    readonly horizonMs: number
    readonly maxBytes: number
  }
  readonly forward: {
    readonly waitForLeaderMs: number
    readonly timeoutMs: number
    readonly maxWaiting: number
    readonly informational: boolean
  }
  readonly snapshots: {
    readonly everyEntries: number
    readonly everyBytes: number
    readonly trailingEntries: number
    readonly trailingBytes: number
    readonly bytesPerSecond: number
  }
}

/** The options after the schema: defaults are in, and only those that have none may still be missing. */
type FilledOptions = Omit<ResolvedOptions, Defaultless | Derived> & Pick<ClusterOptions, Defaultless>
type Defaultless =
  'adminHeaders' | 'authorize' | 'id' | 'publicUrl' | 'members' | 'join' | 'url' | 'dataDir' | 'secret' | 'secretFile' |
  'tls' | 'tokens' | 'tokensFile'
type Derived = 'remoteMembers'

/**
 * Checks the options and fills in the defaults. Repairs nothing: throws one `RAFT_INVALID_OPTIONS` error that lists
 * every fault with its path.
 */
export function resolveOptions (input: unknown): ResolvedOptions {
  const faults: Fault[] = []
  const { authorize, data } = withoutFunctions(input ?? {})
  const filled = { ...readBySchema(optionsSchema, data, '', faults) as FilledOptions, authorize }
  // A part that failed the schema is skipped by the rules below: it has been named once already.
  const ofSchema = [...faults]
  const sound = (path: string): boolean =>
    !ofSchema.some((fault) => fault.path === path || ['[', '.'].some((next) => fault.path.startsWith(path + next)))
  const secret = sound('secret') && sound('secretFile') ? readSecretOptions(filled, readSecrets, faults) : null
  const tokens = sound('tokensFile') ? readTokenOptions(filled, faults) : null
  const members = sound('members') ? readMembers(filled, faults) : []
  const joined = sound('join') && sound('url') ? readJoin(filled, faults) : null
  if (sound('members') && sound('id') && sound('join')) checkIdentity(filled, faults)
  const publicUrl = sound('publicUrl') ? readPublicUrl(filled, faults) : null
  const tls = readClusterTls(filled, sound('tls') ? filled.tls : {}, faults)
  checkAdminHeaders(filled.adminHeaders, faults)
  if (sound('heartbeatMs') && sound('electionTimeoutMinMs') && sound('electionTimeoutMaxMs')) {
    checkTiming(filled, faults)
  }
  if (faults.length > 0) throw new InvalidOptionsError(describeFaults(faults))
  const id = filled.id ?? 'n1'
  const { secretFile: _, tokensFile: __, ...given } = filled
  const common = {
    ...given,
    id,
    publicUrl,
    dataDir: filled.dataDir ?? null,
    adminHeaders: filled.adminHeaders ?? {},
    secret,
    tokens,
    authorize: authorize ?? null,
    tls,
    remoteMembers: filled.insecure || secret !== null || tls.material.own !== null
  }
  if (joined !== null) return { ...common, ...joined, members: [] }
  const all = filled.members === undefined ? [{ id, url: '' }] : members
  return { ...common, members: all, join: null, url: all.find((member) => member.id === id)?.url ?? '' }
}

/** Takes the options that are no data off the others, which have a schema. */
function withoutFunctions (input: unknown): { readonly authorize: Authorize | undefined, readonly data: unknown } {
  if (typeof input !== 'object' || input === null || !('authorize' in input)) {
    return { authorize: undefined, data: input }
  }
  const { authorize, ...data } = input
  return { authorize: authorize as Authorize | undefined, data }
}

/** Where members may be that this node is told of. */
export function memberReachOf ({ remoteMembers, tls }: Pick<ResolvedOptions, 'remoteMembers' | 'tls'>): MemberReach {
  return { anywhere: remoteMembers, onlyHttps: tls.material.own !== null }
}

/** How certificates of members have to name them; null when members are known by their hosts. */
export function nameRulesOf ({ clusterId, tls }: Pick<ResolvedOptions, 'clusterId' | 'tls'>): NameRules | null {
  return tls.material.own === null ? null : { clusterId, form: tls.nameForm }
}

function checkIdentity ({ id, members, join, url }: FilledOptions, faults: Fault[]): void {
  if (join !== undefined) {
    if (members !== undefined) {
      faults.push({
        path: 'join',
        message: 'must not be given together with members: a node either starts a cluster or joins one'
      })
    }
    if (id === undefined) {
      faults.push({ path: 'id', message: 'is required together with join: it says who this node is to be' })
    }
    if (url === undefined) {
      faults.push({ path: 'url', message: 'is required together with join: it says where the others reach this node' })
    }
    return
  }
  if (url !== undefined) {
    faults.push({
      path: 'url',
      message: 'goes together with join only: otherwise members says where a node is reached'
    })
  }
  if (members === undefined) return
  if (id === undefined) {
    faults.push({ path: 'id', message: 'is required together with members: it says which of them this node is' })
  } else if (!members.some((member) => member.id === id)) {
    faults.push({
      path: 'id',
      message: `"${id}" is not one of the members (${members.map((member) => member.id).join(', ')})`
    })
  }
}

function readPublicUrl ({ publicUrl }: FilledOptions, faults: Fault[]): string | null {
  if (publicUrl === undefined) return null
  const url = readNodeUrl(publicUrl)
  if (url.kind === 'ok') return url.origin
  faults.push({ path: 'publicUrl', message: url.message })
  return null
}

function checkTiming (
  { heartbeatMs, electionTimeoutMinMs, electionTimeoutMaxMs }: FilledOptions,
  faults: Fault[]
): void {
  if (electionTimeoutMinMs <= 3 * heartbeatMs) {
    faults.push({
      path: 'electionTimeoutMinMs',
      message: `must be above three heartbeats (${3 * heartbeatMs}), or a single late heartbeat starts an election; ` +
        `got ${electionTimeoutMinMs}`
    })
  }
  if (electionTimeoutMaxMs <= electionTimeoutMinMs) {
    faults.push({
      path: 'electionTimeoutMaxMs',
      message: `must be above electionTimeoutMinMs (${electionTimeoutMinMs}), or elections tie; got ` +
        `${electionTimeoutMaxMs}`
    })
  }
}

function readMembers ({ members, ...trust }: FilledOptions, faults: Fault[]): readonly Member[] {
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
    const url = readNodeUrl(member.url)
    if (url.kind === 'fault') {
      faults.push({ path: `members[${index}].url`, message: url.message })
      continue
    }
    once(urls, url.origin, index, `members[${index}].url`)
    if (members !== undefined && members.length > 1) checkReach(url, `members[${index}].url`, trust, faults)
    read.push({ id: member.id, url: url.origin })
  }
  return read
}

/** The addresses of a node that joins; null for one that does not. */
function readJoin (
  { join, url, ...trust }: FilledOptions,
  faults: Fault[]
): { readonly join: readonly string[]; readonly url: string } | null {
  if (join === undefined) return null
  const read = (text: string, path: string): string => {
    const result = readNodeUrl(text)
    if (result.kind === 'fault') {
      faults.push({ path, message: result.message })
      return ''
    }
    checkReach(result, path, trust, faults)
    return result.origin
  }
  const own = url === undefined ? '' : read(url, 'url')
  const asked = join.map((text, index) => read(text, `join[${index}]`))
  for (const [index, origin] of asked.entries()) {
    if (origin !== '' && origin === own) {
      faults.push({ path: `join[${index}]`, message: `${origin} is this node itself, which cannot let itself in` })
    }
  }
  return { join: asked, url: own }
}

function checkReach (
  { hostname, origin }: { readonly hostname: string, readonly origin: string },
  path: string,
  trust: Pick<FilledOptions, 'insecure' | 'secret' | 'secretFile' | 'tls'>,
  faults: Fault[]
): void {
  const { insecure, secret, secretFile, tls } = trust
  if (hasCertificate(tls)) {
    if (origin.startsWith('https:')) return
    faults.push({
      path,
      message: `${origin} is called without TLS, where certificates prove nothing: give all members https URLs`
    })
    return
  }
  if (insecure === true || secret !== undefined || secretFile !== undefined || isLoopbackHostname(hostname)) return
  faults.push({
    path,
    message: `${origin} is not on this machine, and nothing proves who peers are: ${waysOut}`
  })
}
