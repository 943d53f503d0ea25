import type { Order, OrderPage } from '../../../examples/orders/order.ts'
import { getJson } from './polling.ts'

/** What became of one attempt to post an order. */
type PostOutcome =
  /** Stored, by this attempt or an earlier one with the same id. */
  | { readonly kind: 'acknowledged', readonly node: string | null }
  /** Anything else; the same order may be posted again. */
  | { readonly kind: 'failed', readonly reason: string }

const attemptTimeoutMs = 5_000

/** Posts one order to a node or a gateway, once. Never rejects. */
export async function postOrder (
  baseUrl: string,
  order: Pick<Order, 'id' | 'item' | 'quantity'>
): Promise<PostOutcome> {
  try {
    const response = await fetch(`${baseUrl}/orders`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(order),
      signal: AbortSignal.timeout(attemptTimeoutMs)
    })
    const text = await response.text()
    if (response.ok) return { kind: 'acknowledged', node: response.headers.get('raft-node') }
    return { kind: 'failed', reason: `${response.status} ${text.slice(0, 200)}` }
  } catch (error) {
    return { kind: 'failed', reason: error instanceof Error ? error.message : String(error) }
  }
}

/**
 * All orders as one node has applied them, or null when it does not answer.
 * `local` asks this node alone; without it the node makes sure first that it misses nothing acknowledged.
 */
export async function listOrders (baseUrl: string, read: 'linearizable' | 'local'): Promise<readonly Order[] | null> {
  const orders: Order[] = []
  for (let after = '', more = true; more;) {
    const page = await getJson<OrderPage>(`${baseUrl}/orders?read=${read}${after}`, attemptTimeoutMs)
    if (page === null) return null
    orders.push(...page.orders)
    after = `&after=${page.next}`
    more = page.next !== null
  }
  return orders
}
