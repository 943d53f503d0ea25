import type { Order } from '../../../examples/orders/order.ts'
import type { Check } from './timeline.ts'

/** What each node has applied, by the node's id. */
type StoredOrders = ReadonlyMap<string, readonly Order[]>

/**
 * Judges whether nothing was lost and nothing was sent twice. `acknowledged` are the ids that clients got an answer
 * for.
 */
export function judgeOrders (acknowledged: readonly string[], stored: StoredOrders): Check[] {
  const nodes = [...stored]
  return [
    ...nodes.map(([node, orders]) => allPresent(node, orders, acknowledged)),
    ...nodes.map(([node, orders]) => sentOnce(node, orders)),
    sameEverywhere(nodes.map(([, orders]) => orders))
  ]
}

/** Judges whether the outbox left the leader that was killed and never ran twice under one token. */
export function judgeOutbox (orders: readonly Order[], killed: string): Check[] {
  return [outboxMoved(orders, killed), tokensBelongToOneNode(orders)]
}

function allPresent (node: string, orders: readonly Order[], acknowledged: readonly string[]): Check {
  const ids = new Set(orders.map((order) => order.id))
  const missing = acknowledged.filter((id) => !ids.has(id))
  return {
    claim: `every acknowledged order is on ${node}`,
    holds: acknowledged.length > 0 && missing.length === 0,
    found: `${acknowledged.length - missing.length} of ` +
      `${acknowledged.length}${missing.length === 0 ? '' : `; missing ${missing.slice(0, 5).join(', ')}`}`
  }
}

function sentOnce (node: string, orders: readonly Order[]): Check {
  const wrong = orders.filter((order) => order.sentCount !== 1)
  const examples = wrong.slice(0, 5).map((order) => `${order.id} (${order.sentCount} times)`).join(', ')
  return {
    claim: `every order on ${node} was sent exactly once`,
    holds: orders.length > 0 && wrong.length === 0,
    found: `${orders.length - wrong.length} of ${orders.length}${wrong.length === 0 ? '' : `; not ${examples}`}`
  }
}

function sameEverywhere (lists: readonly (readonly Order[])[]): Check {
  const different = new Set(lists.map((orders) => JSON.stringify(orders))).size
  return {
    claim: 'all nodes hold the same orders',
    holds: different === 1,
    found: different === 1 ? 'the same' : `${different} different lists`
  }
}

function outboxMoved (orders: readonly Order[], killed: string): Check {
  const tokens = (of: readonly Order[]): number[] => of.map((order) => Number(order.sentToken))
  const before = orders.filter((order) => order.sentBy === killed)
  const after = orders.filter((order) => order.sentBy !== null && order.sentBy !== killed)
  // The killed node may lead again later, so its first token counts and not its last.
  const first = Math.min(...tokens(before))
  const last = Math.max(...tokens(after))
  const nodes = [...new Set(after.map((order) => order.sentBy))].join(', ')
  return {
    claim: 'the outbox moved with the leader, to a higher fencing token',
    holds: before.length > 0 && after.length > 0 && last > first,
    found: before.length === 0 || after.length === 0
      ? `${before.length} sent by ${killed}, ${after.length} by others`
      : `${before.length} sent by ${killed} (from token ${first}), ${after.length} by ${nodes} (up to token ${last})`
  }
}

function tokensBelongToOneNode (orders: readonly Order[]): Check {
  const owners = new Map<string, Set<string>>()
  for (const { sentBy, sentToken } of orders) {
    if (sentBy === null || sentToken === null) continue
    owners.set(sentToken, (owners.get(sentToken) ?? new Set()).add(sentBy))
  }
  const shared = [...owners].filter(([, nodes]) => nodes.size > 1).map(([token]) => token)
  return {
    claim: 'no two nodes ever sent under the same token',
    holds: owners.size > 0 && shared.length === 0,
    found: shared.length === 0 ? `${owners.size} tokens, one node each` : `shared: ${shared.join(', ')}`
  }
}
