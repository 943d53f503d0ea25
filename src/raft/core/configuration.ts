import type { NodeId } from './types.ts'
import { asNodeId } from './types.ts'

/** One member and where the others reach it. The core passes addresses on and never looks at them. */
export interface ConfigurationMember {
  readonly id: NodeId
  readonly address: string
  /**
   * Which log the member keeps: random, given to a log when it is created; empty as long as nobody has heard it. Once
   * recorded it stays as long as the member does: a node that comes back with another log is not that member, whatever
   * its id says. The core records it; whoever carries the messages tells the nodes apart by it.
   */
  readonly incarnation: string
  /** That it was a voter and is a learner by somebody's decision, not on its way to become a voter. */
  readonly demoted?: true
}

/**
 * Who belongs to the cluster, as an entry of the log says (paper section 6).
 *
 * While `outgoing` is not empty the configuration is joint: elections and commits need a majority of `voters` and one
 * of `outgoing`. Learners receive the log and count for nothing (dissertation section 4.2.1).
 */
export interface Configuration {
  readonly members: readonly ConfigurationMember[]
  readonly voters: readonly NodeId[]
  readonly outgoing: readonly NodeId[]
  readonly learners: readonly NodeId[]
}

/** Voters only, in no transition. */
export function stableConfiguration (
  members: ReadonlyArray<Pick<ConfigurationMember, 'id' | 'address'>>
): Configuration {
  return {
    members: members.map(({ id, address }) => ({ id, address, incarnation: '' })),
    voters: members.map((member) => member.id),
    outgoing: [],
    learners: []
  }
}

export function isJoint (configuration: Configuration): boolean {
  return configuration.outgoing.length > 0
}

/** Everybody who takes part in some way. */
export function participants (configuration: Configuration): readonly NodeId[] {
  return [...new Set([...configuration.voters, ...configuration.outgoing, ...configuration.learners])]
}

/** One step of a change of the configuration. */
export type ConfigurationChange =
  | { readonly kind: 'add-learner', readonly id: NodeId, readonly address: string, readonly incarnation?: string }
  | { readonly kind: 'promote', readonly id: NodeId }
  | { readonly kind: 'demote', readonly id: NodeId }
  | { readonly kind: 'remove', readonly id: NodeId }
  | { readonly kind: 'set-address', readonly id: NodeId, readonly address: string }
  | { readonly kind: 'set-incarnation', readonly id: NodeId, readonly incarnation: string }

/** Why a change makes no sense for the configuration as it is. */
export type ChangeFault =
  | 'already-member'
  | 'unknown-member'
  | 'not-learner'
  | 'not-voter'
  | 'no-voter-left'
  | 'address-in-use'
  | 'other-incarnation'

function without (ids: readonly NodeId[], id: NodeId): readonly NodeId[] {
  return ids.filter((other) => other !== id)
}

function withoutDemotion ({ id, address, incarnation }: ConfigurationMember): ConfigurationMember {
  return { id, address, incarnation }
}

/** The configuration that one step aims at, not regarding how to get there. */
export function applyChange (current: Configuration, change: ConfigurationChange): Configuration | ChangeFault {
  const { members, voters, learners } = current
  const isMember = members.some((member) => member.id === change.id)
  if (change.kind === 'add-learner') {
    if (isMember) return 'already-member'
    if (members.some((member) => member.address === change.address)) return 'address-in-use'
    const added = { id: change.id, address: change.address, incarnation: change.incarnation ?? '' }
    return { ...current, members: [...members, added], learners: [...learners, change.id] }
  }
  if (!isMember) return 'unknown-member'
  switch (change.kind) {
    case 'promote':
      if (!learners.includes(change.id)) return 'not-learner'
      return {
        ...current,
        members: members.map((member) => member.id === change.id ? withoutDemotion(member) : member),
        voters: [...voters, change.id],
        learners: without(learners, change.id)
      }
    case 'demote':
      if (!voters.includes(change.id)) return 'not-voter'
      if (voters.length === 1) return 'no-voter-left'
      return {
        ...current,
        members: members.map((member) => member.id === change.id ? { ...member, demoted: true } : member),
        voters: without(voters, change.id),
        learners: [...learners, change.id]
      }
    case 'remove':
      if (voters.length === 1 && voters[0] === change.id) return 'no-voter-left'
      return {
        ...current,
        members: members.filter((member) => member.id !== change.id),
        voters: without(voters, change.id),
        learners: without(learners, change.id)
      }
    case 'set-address':
      if (members.some((member) => member.id !== change.id && member.address === change.address)) {
        return 'address-in-use'
      }
      return {
        ...current,
        members: members.map((member) => (member.id === change.id ? { ...member, address: change.address } : member))
      }
    case 'set-incarnation':
      // Only who is removed first can come back with another log.
      if (
        members.some(
          ({ id, incarnation }) => id === change.id && incarnation !== '' && incarnation !== change.incarnation
        )
      ) {
        return 'other-incarnation'
      }
      return {
        ...current,
        members: members.map((member) =>
          member.id === change.id ? { ...member, incarnation: change.incarnation } : member
        )
      }
  }
}

function sameIds (left: readonly NodeId[], right: readonly NodeId[]): boolean {
  return left.length === right.length && left.every((id) => right.includes(id))
}

/**
 * The entry that starts the way from one stable configuration to another: a joint configuration when the voters differ,
 * the target itself when they do not.
 */
export function enterJoint (current: Configuration, target: Configuration): Configuration {
  if (sameIds(current.voters, target.voters)) return target
  const leaving = current.members.filter(
    ({ id }) => current.voters.includes(id) && target.members.every((member) => member.id !== id)
  )
  // Who is on the way out still votes in the joint configuration: its address is needed until then.
  return { ...target, members: [...target.members, ...leaving], outgoing: current.voters }
}

/** The entry that ends a joint configuration. */
export function leaveJoint (joint: Configuration): Configuration {
  return {
    ...joint,
    outgoing: [],
    members: joint.members.filter(({ id }) => joint.voters.includes(id) || joint.learners.includes(id))
  }
}

/** A configuration as the data of an entry: JSON in ASCII. */
export function encodeConfiguration (configuration: Configuration): Uint8Array {
  const text = JSON.stringify(configuration).replace(/[\u0080-\uffff]/g, (character) =>
    `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`)
  return Uint8Array.from(text, (character) => character.charCodeAt(0))
}

function isIdList (value: unknown): value is readonly string[] {
  return (
    Array.isArray(value) &&
    value.every((id) => typeof id === 'string' && id !== '') &&
    new Set(value).size === value.length
  )
}

function readMembers (value: unknown): readonly ConfigurationMember[] | null {
  if (!Array.isArray(value)) return null
  const members: ConfigurationMember[] = []
  for (const item of value as readonly unknown[]) {
    if (
      typeof item !== 'object' ||
      item === null ||
      !('id' in item) ||
      !('address' in item) ||
      !('incarnation' in item)
    ) {
      return null
    }
    if (
      typeof item.id !== 'string' ||
      item.id === '' ||
      typeof item.address !== 'string' ||
      typeof item.incarnation !== 'string'
    ) {
      return null
    }
    if ('demoted' in item && item.demoted !== true) return null
    const member = { id: asNodeId(item.id), address: item.address, incarnation: item.incarnation }
    members.push('demoted' in item ? { ...member, demoted: true } : member)
  }
  return members
}

/** Reads what {@link encodeConfiguration} wrote; null for anything else. */
export function decodeConfiguration (data: Uint8Array): Configuration | null {
  let text = ''
  for (const byte of data) text += String.fromCharCode(byte)
  let parsed: unknown
  try {
    parsed = JSON.parse(text)
  } catch {
    return null
  }
  if (typeof parsed !== 'object' || parsed === null) return null
  const { members: rawMembers, voters, outgoing, learners } = parsed as Record<string, unknown>
  const members = readMembers(rawMembers)
  if (members === null || !isIdList(voters) || !isIdList(outgoing) || !isIdList(learners)) return null
  if (voters.length === 0 || voters.some((id) => learners.includes(id))) return null
  const configuration = {
    members,
    voters: voters.map(asNodeId),
    outgoing: outgoing.map(asNodeId),
    learners: learners.map(asNodeId)
  }
  const ids = members.map((member) => member.id)
  if (new Set(ids).size !== ids.length || !sameIds(participants(configuration), ids)) return null
  return configuration
}
