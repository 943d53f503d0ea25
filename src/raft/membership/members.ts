import type { Configuration, ConfigurationChange, LeadershipView, NodeId } from '../core/index.ts'
import { asNodeId, isJoint } from '../core/index.ts'
import type { LeaderInfo, MemberInfo, MemberRole, Membership, MembershipChange } from '../engine.ts'

/** Translates between the configuration of the core (ids and addresses) and the membership (members and URLs). */

/** The configuration and the leadership that a node knows. */
export interface ClusterView {
  readonly isRunning: boolean
  readonly view: LeadershipView
  readonly configuration: Configuration
  /** Log index of the configuration's entry; 0 before the log has a configuration. */
  readonly configurationIndex: number
  readonly appliedIndex: number
}

function roleOf ({ voters, learners }: Configuration, id: string): MemberRole {
  if (voters.some((voter) => voter === id)) return 'voter'
  return learners.some((learner) => learner === id) ? 'learner' : 'leaving'
}

/** The members of a configuration with their roles. */
export function toMembers (configuration: Configuration): readonly MemberInfo[] {
  return configuration.members.map(({ id, address, demoted, incarnation }) => ({
    id,
    url: address,
    role: roleOf(configuration, id),
    ...(demoted === true ? { demoted } : {}),
    ...(incarnation === '' ? {} : { incarnation })
  }))
}

/** The membership in force on a node. */
export function membershipOf ({ configuration, configurationIndex, appliedIndex }: ClusterView): Membership {
  return {
    members: toMembers(configuration),
    version: configurationIndex,
    isSettled: !isJoint(configuration) && configurationIndex <= appliedIndex
  }
}

/** The leader that a node knows; also null while the node does not run or does not know the leader's URL. */
export function leaderOf ({ isRunning, view: { leader, term }, configuration }: ClusterView): LeaderInfo | null {
  if (leader === null || !isRunning) return null
  const member = configuration.members.find(({ id }) => id === leader)
  return member === undefined ? null : { id: member.id, url: member.address, term }
}

/** One change of the membership as changes of the configuration. */
export function toConfigurationChanges (change: MembershipChange): readonly ConfigurationChange[] {
  const id = asNodeId(change.id)
  switch (change.kind) {
    case 'add-learner': return [{ kind: 'add-learner', id, address: change.url, incarnation: change.incarnation ?? '' }]
    case 'set-url': {
      const { url, incarnation } = change
      return [...knownBy(id, incarnation), { kind: 'set-address', id, address: url }]
    }
    case 'remove': return [...knownBy(id, change.incarnation), { kind: 'remove', id }]
    case 'promote':
    case 'demote': return [{ kind: change.kind, id }]
  }
}

/** Refused where the cluster knows the member by another log. */
function knownBy (id: NodeId, incarnation: string | undefined): readonly ConfigurationChange[] {
  return incarnation === undefined ? [] : [{ kind: 'set-incarnation', id, incarnation }]
}
