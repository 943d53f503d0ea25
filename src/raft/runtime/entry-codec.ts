import type { Configuration, ConfigurationMember, Entry, EntryKind, Index, NodeId, Term } from '../core/index.ts'
import { asNodeId, participants } from '../core/index.ts'

/**
 * Encodes the content of an entry, the same way on disk and on the wire: a command as its bytes, a no-op as nothing, a
 * configuration as JSON in ASCII.
 */

const noData = new Uint8Array(0)

/** The content of an entry as bytes. */
export function encodeContent (entry: Entry): Uint8Array {
  switch (entry.kind) {
    case 'command': return entry.data
    case 'configuration': return encodeConfiguration(entry.configuration)
    case 'noop': return noData
  }
}

/**
 * The entry with this content. Null for bytes that {@link encodeContent} does not write for this kind of entry: a
 * malformed configuration, or a no-op with content.
 */
export function decodeEntry (
  kind: EntryKind,
  index: Index,
  term: Term,
  timeMs: number,
  data: Uint8Array
): Entry | null {
  switch (kind) {
    case 'command': return { index, term, kind, timeMs, data }
    case 'noop': return data.byteLength === 0 ? { index, term, kind, timeMs } : null
    case 'configuration': {
      const configuration = decodeConfiguration(data)
      return configuration === null ? null : { index, term, kind, timeMs, configuration }
    }
  }
}

/** A configuration as JSON in ASCII. */
export function encodeConfiguration (configuration: Configuration): Uint8Array {
  const text = JSON.stringify(configuration).replace(/[\u0080-\uffff]/g, (character) =>
    `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`)
  return Buffer.from(text, 'latin1')
}

/** Reads what {@link encodeConfiguration} wrote; null for anything else. */
export function decodeConfiguration (data: Uint8Array): Configuration | null {
  try {
    return toConfiguration(JSON.parse(Buffer.from(data).toString('latin1')))
  } catch {
    return null
  }
}

/** A configuration from its parsed JSON; null when it is malformed. */
export function toConfiguration (value: unknown): Configuration | null {
  if (typeof value !== 'object' || value === null) return null
  const { clusterUuid, members: rawMembers, voters, outgoing, learners } = value as Record<string, unknown>
  const members = toMembers(rawMembers)
  if (members === null || !isIdList(voters) || !isIdList(outgoing) || !isIdList(learners)) return null
  if (voters.length === 0 || voters.some((id) => learners.includes(id))) return null
  const configuration = { members, voters, outgoing, learners }
  const ids = members.map((member) => member.id)
  if (new Set(ids).size !== ids.length || !hasSameIds(participants(configuration), ids)) return null
  if (clusterUuid === undefined) return configuration
  return typeof clusterUuid === 'string' && clusterUuid !== '' ? { clusterUuid, ...configuration } : null
}

function toMembers (value: unknown): readonly ConfigurationMember[] | null {
  if (!Array.isArray(value)) return null
  const members: ConfigurationMember[] = []
  for (const item of value as readonly unknown[]) {
    const member = toMember(item)
    if (member === null) return null
    members.push(member)
  }
  return members
}

function toMember (value: unknown): ConfigurationMember | null {
  if (typeof value !== 'object' || value === null) return null
  const { id, address, incarnation, demoted } = value as Record<string, unknown>
  if (typeof id !== 'string' || id === '' || typeof address !== 'string' || typeof incarnation !== 'string') return null
  const member = { id: asNodeId(id), address, incarnation }
  if (!('demoted' in value)) return member
  return demoted === true ? { ...member, demoted } : null
}

function isIdList (value: unknown): value is readonly NodeId[] {
  return (
    Array.isArray(value) &&
    value.every((id) => typeof id === 'string' && id !== '') &&
    new Set(value).size === value.length
  )
}

function hasSameIds (left: readonly NodeId[], right: readonly NodeId[]): boolean {
  return left.length === right.length && left.every((id) => right.includes(id))
}
