import type { NodeId } from './types.ts'

/**
 * Who votes. `outgoing` is empty except while a joint configuration is in force; then a majority of both sets is
 * needed for everything (paper section 6).
 */
export interface QuorumConfig {
  readonly voters: readonly NodeId[]
  readonly outgoing: readonly NodeId[]
}

/** Outcome of a vote so far; `lost` as soon as a majority can no longer be reached. */
type VoteResult = 'won' | 'lost' | 'pending'

/**
 * The highest value that a majority of the voters has reached; infinite for an empty set, so that an empty outgoing
 * set adds no condition.
 */
function majorityValue (voters: readonly NodeId[], reached: (id: NodeId) => number): number {
  if (voters.length === 0) return Infinity
  const values = voters.map(reached).sort((left, right) => right - left)
  return values[Math.floor(voters.length / 2)] ?? 0
}

/**
 * The highest value that a quorum has reached: a log index when `reached` is the match index (paper figure 2, "rules
 * for leaders"), a heartbeat round when it is the last round answered.
 */
export function quorumValue (config: QuorumConfig, reached: (id: NodeId) => number): number {
  return Math.min(majorityValue(config.voters, reached), majorityValue(config.outgoing, reached))
}

function majorityVote (voters: readonly NodeId[], votes: ReadonlyMap<NodeId, boolean>): VoteResult {
  const needed = Math.floor(voters.length / 2) + 1
  if (voters.length === 0) return 'won'
  let granted = 0
  let missing = 0
  for (const voter of voters) {
    const vote = votes.get(voter)
    if (vote === true) granted++
    else if (vote === undefined) missing++
  }
  if (granted >= needed) return 'won'
  return granted + missing >= needed ? 'pending' : 'lost'
}

/** Counts votes by voter identity; a vote of somebody who is no voter counts for nothing. */
export function voteResult (config: QuorumConfig, votes: ReadonlyMap<NodeId, boolean>): VoteResult {
  const results = [majorityVote(config.voters, votes), majorityVote(config.outgoing, votes)]
  if (results.includes('lost')) return 'lost'
  return results.includes('pending') ? 'pending' : 'won'
}
