import type { Configuration, ConfigurationMember, NodeId } from './types.ts'

/** A configuration that is not joint and has only voters. */
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

/** Whether elections and commits need two majorities: a change of the voters is not complete. */
export function isJoint (configuration: Configuration): boolean {
  return configuration.outgoing.length > 0
}

/** All voters, outgoing voters and learners, each once. */
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
  /**
   * The member itself says that it is there, and was found there. The address may be that of another member, which then
   * is somewhere else: two members that swap addresses change them in one entry, or one after the other.
   */
  | { readonly kind: 'confirm-address', readonly id: NodeId, readonly address: string }
  | { readonly kind: 'set-incarnation', readonly id: NodeId, readonly incarnation: string }
  /** Gives the cluster its UUID; only one that has none. */
  | { readonly kind: 'found', readonly clusterUuid: string }

/** Why a change does not apply to the current configuration. */
export type ChangeFault =
  | 'already-member'
  | 'unknown-member'
  | 'not-learner'
  | 'not-voter'
  | 'no-voter-left'
  | 'address-in-use'
  | 'other-incarnation'
  | 'already-founded'

function without (ids: readonly NodeId[], id: NodeId): readonly NodeId[] {
  return ids.filter((other) => other !== id)
}

function withoutDemotion ({ id, address, incarnation }: ConfigurationMember): ConfigurationMember {
  return { id, address, incarnation }
}

function withAddress (current: Configuration, id: NodeId, address: string): Configuration {
  return {
    ...current,
    members: current.members.map((member) => (member.id === id ? { ...member, address } : member))
  }
}

/** The configuration after one change, without the joint configuration that may have to come before it. */
export function applyChange (current: Configuration, change: ConfigurationChange): Configuration | ChangeFault {
  if (change.kind === 'found') {
    return current.clusterUuid === undefined ? { ...current, clusterUuid: change.clusterUuid } : 'already-founded'
  }
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
      return withAddress(current, change.id, change.address)
    case 'confirm-address':
      return withAddress(current, change.id, change.address)
    case 'set-incarnation':
      // A recorded incarnation never changes: a node that comes back with another log must be removed first.
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
 * The first entry of a change from one stable configuration to another: a joint configuration if the voters differ,
 * else the target itself.
 */
export function enterJoint (current: Configuration, target: Configuration): Configuration {
  if (sameIds(current.voters, target.voters)) return target
  const leaving = current.members.filter(
    ({ id }) => current.voters.includes(id) && target.members.every((member) => member.id !== id)
  )
  // A leaving member still votes while the configuration is joint: its address is needed until the change is complete.
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
