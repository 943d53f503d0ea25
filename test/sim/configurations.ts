import type { Configuration, NodeId } from '../../src/raft/core/index.ts'

/** Counted here once more, apart from the core: a checker that shared its arithmetic would share its mistakes. */
function hasMajority (ids: readonly NodeId[], holds: (id: NodeId) => boolean): boolean {
  return ids.length === 0 || ids.filter(holds).length * 2 > ids.length
}

/**
 * Whether the nodes that fulfil the condition are a quorum: a majority, of both halves while the configuration is
 * joint.
 */
export function isQuorum ({ voters, outgoing }: Configuration, holds: (id: NodeId) => boolean): boolean {
  return voters.length > 0 && hasMajority(voters, holds) && hasMajority(outgoing, holds)
}

const compared = new Map<string, boolean>()

/** Whether every quorum of one configuration shares a node with every quorum of the other. */
export function alwaysOverlap (left: Configuration, right: Configuration): boolean {
  const key = [left.voters, left.outgoing, right.voters, right.outgoing]
    .map((ids) => [...ids].sort().join(' '))
    .join('|')
  const known = compared.get(key)
  if (known !== undefined) return known
  const ids = [...new Set([...left.voters, ...left.outgoing, ...right.voters, ...right.outgoing])]
  let overlap = true
  for (let chosen = 0; overlap && chosen < 2 ** ids.length; chosen++) {
    const isChosen = (id: NodeId): boolean => (chosen & (1 << ids.indexOf(id))) !== 0
    overlap = !(isQuorum(left, isChosen) && isQuorum(right, (id) => !isChosen(id)))
  }
  compared.set(key, overlap)
  return overlap
}

export function describeConfiguration ({ voters, outgoing, learners }: Configuration): string {
  return `(${voters.join(' ')})${outgoing.length > 0 ? ` from (${outgoing.join(' ')})` : ''}${learners.length > 0 ? ` learners (${learners.join(' ')})` : ''}`
}
