import type { ConfigurationChange } from './configuration.ts'
import { applyChange, enterJoint, isJoint, leaveJoint } from './configuration.ts'
import { entryBytes } from './entry-size.ts'
import type { ConfigureRefusal, ConfigureResult } from './output.ts'
import type { Progress } from './progress.ts'
import type { CoreState, LeaderState } from './state.ts'
import { appendConfiguration } from './transitions.ts'
import type { Configuration } from './types.ts'

/**
 * Changes of membership by joint consensus (paper section 6), one at a time, each effective as soon as it is in the
 * log. A leader changes nothing before its own no-op is committed: an uncommitted configuration of an earlier leader,
 * which this leader may not know, could otherwise win later (the single-server bug of 2015).
 */

/** A learner this close behind the end of the log counts as caught up. */
const maxEntriesBehind = 1_000

function keepsUp (state: CoreState, progress: Progress | undefined): boolean {
  return (
    progress !== undefined &&
    progress.state === 'replicate' &&
    state.log.lastIndex - progress.matchIndex <= maxEntriesBehind
  )
}

/** Whether a majority of the target's voters would be within reach, this leader included. */
function hasReachableQuorum (state: CoreState, leader: LeaderState, target: Configuration): boolean {
  const reachable = target.voters.filter(
    (id) => id === state.config.id || leader.progress.get(id)?.state === 'replicate'
  )
  return reachable.length > target.voters.length / 2
}

function plan (
  state: CoreState,
  leader: LeaderState,
  changes: readonly ConfigurationChange[]
): Configuration | ConfigureRefusal {
  let target = state.configuration
  for (const change of changes) {
    // Removed and added in one change, a member would keep what this leader has heard of the log before, and its vote
    // would count for the old half of the joint configuration.
    if (change.kind === 'add-learner' && state.configuration.members.some(({ id }) => id === change.id)) {
      return 'already-member'
    }
    const next = applyChange(target, change)
    if (typeof next === 'string') return next
    if (change.kind === 'promote' && !keepsUp(state, leader.progress.get(change.id))) return 'lagging'
    target = next
  }
  const votersChange =
    target.voters.some((id) => !state.configuration.voters.includes(id)) ||
    state.configuration.voters.some((id) => !target.voters.includes(id))
  return votersChange && !hasReachableQuorum(state, leader, target) ? 'quorum-at-risk' : target
}

/** Appends a change if it is allowed now; `expectedIndex` refuses it when the configuration is no longer that one. */
export function configure (
  state: CoreState,
  changes: readonly ConfigurationChange[],
  expectedIndex: number | null
): ConfigureResult {
  const { role } = state
  if (role.kind !== 'leader') return { kind: 'refused', reason: 'not-leader' }
  if (role.transfer !== null) return { kind: 'refused', reason: 'transferring' }
  if (state.log.commitIndex < role.noopIndex) return { kind: 'refused', reason: 'not-ready' }
  if (expectedIndex !== null && expectedIndex !== state.configurationIndex) {
    return { kind: 'refused', reason: 'conflict' }
  }
  if (state.configurationIndex > state.log.commitIndex || isJoint(state.configuration)) {
    return { kind: 'refused', reason: 'pending' }
  }
  const target = plan(state, role, changes)
  if (typeof target === 'string') return { kind: 'refused', reason: target }
  putInForce(state, role, enterJoint(state.configuration, target))
  return { kind: 'appended', index: state.log.lastIndex }
}

function putInForce (state: CoreState, leader: LeaderState, configuration: Configuration): void {
  const entry = appendConfiguration(state, configuration)
  leader.uncommittedBytes += entryBytes(entry)
  state.takeConfigurations([entry])
}

/** Leaves a joint configuration once its entry is committed, whichever leader appended it. */
export function continueChange (state: CoreState, leader: LeaderState): void {
  const { configuration, configurationIndex } = state
  if (
    !isJoint(configuration) ||
    configurationIndex > state.log.commitIndex ||
    state.log.commitIndex < leader.noopIndex
  ) {
    return
  }
  putInForce(state, leader, leaveJoint(configuration))
}

/** Whether this leader is no voter of the committed configuration. */
export function isRemovedLeader (state: CoreState): boolean {
  return state.configurationIndex <= state.log.commitIndex && !isJoint(state.configuration) && !state.isVoter
}
