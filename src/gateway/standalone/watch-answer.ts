import type { LeaderInfo } from '../../raft/index.ts'

/** Members that an answer may name; a cluster has far fewer. */
const maxMembers = 256

/** Who belongs to a cluster, as one of its nodes says. */
export interface ToldMembership {
  /** Of two memberships of one cluster the later one has the higher version. */
  readonly version: number
  readonly members: ReadonlyArray<{ readonly id: string, readonly url: string }>
}

/** What a node answers to a watch. */
interface WatchAnswer {
  /** To be told in the next question. */
  readonly tag: string
  readonly clusterId: string | null
  readonly ready: boolean
  readonly claim: LeaderInfo | null
  readonly membership: ToldMembership
}

/** Reads the answer to `GET v1/watch`; null for anything else. */
export function readWatchAnswer (text: string): WatchAnswer | null {
  const value = parseRecord(text)
  if (value === null) return null
  const { tag, clusterId, ready, leader, membershipVersion: version, members } = value
  if (typeof tag !== 'string' || !/^[\w-]{1,64}$/.test(tag) || typeof ready !== 'boolean') return null
  if (typeof version !== 'number' || !Number.isSafeInteger(version) || version < 0) return null
  if (!Array.isArray(members)) return null
  const claim = leader === null ? null : claimOf(leader)
  if (leader !== null && claim === null) return null
  return {
    tag,
    clusterId: isText(clusterId, 256) ? clusterId : null,
    ready,
    claim,
    membership: { version, members: members.slice(0, maxMembers).flatMap(memberOf) }
  }
}

/** Reads `{id, url, term}`; null for anything else. The URL is a hint to be matched, never an address to be called. */
export function readClaim (text: string): LeaderInfo | null {
  return claimOf(parseRecord(text))
}

function claimOf (value: unknown): LeaderInfo | null {
  if (typeof value !== 'object' || value === null) return null
  const { id, url, term } = value as Record<string, unknown>
  if (!isText(id, 256) || typeof url !== 'string' || url.length > 2_048) return null
  if (typeof term !== 'number' || !Number.isSafeInteger(term) || term < 1) return null
  return { id, url, term }
}

function memberOf (value: unknown): Array<{ readonly id: string, readonly url: string }> {
  if (typeof value !== 'object' || value === null) return []
  const { id, url } = value as Record<string, unknown>
  return isText(id, 256) && isText(url, 2_048) ? [{ id, url }] : []
}

function isText (value: unknown, maxLength: number): value is string {
  return typeof value === 'string' && value !== '' && value.length <= maxLength
}

function parseRecord (text: string): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? value as Record<string, unknown> : null
  } catch {
    return null
  }
}
