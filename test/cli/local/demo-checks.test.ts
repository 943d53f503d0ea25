import { describe, expect, it } from 'vitest'
import type { Order } from '../../../examples/orders/order.ts'
import { judgeOrders, judgeOutbox } from '../../../src/cli/local/demo-checks.ts'
import { printVerdict, Timeline } from '../../../src/cli/local/timeline.ts'

function order (id: string, sentBy: string | null, sentToken: string | null, sentCount = 1): Order {
  return { id, item: 'tea', quantity: 1, sentCount, sentBy, sentToken }
}

const good = [order('a', 'n1', '1'), order('b', 'n1', '1'), order('c', 'n2', '9')]
function failing (checks: readonly { readonly claim: string, readonly holds: boolean }[]): string[] {
  return checks.filter(({ holds }) => !holds).map(({ claim }) => claim)
}
function storedAlike (orders: readonly Order[]): Map<string, readonly Order[]> {
  return new Map(['n1', 'n2', 'n3'].map((node) => [node, orders]))
}

describe('the checks of the demo', () => {
  it('hold when every order is on every node and was sent once', () => {
    expect(failing([...judgeOrders(['a', 'b', 'c'], storedAlike(good)), ...judgeOutbox(good, 'n1')])).toEqual([])
  })

  it('find an acknowledged order that one node misses', () => {
    const stored = storedAlike(good).set('n2', good.slice(1))
    expect(failing(judgeOrders(['a', 'b', 'c'], stored))).toEqual([
      'every acknowledged order is on n2',
      'all nodes hold the same orders'
    ])
  })

  it('find an acknowledged order that all nodes lost', () => {
    expect(failing(judgeOrders(['a', 'b', 'c', 'd'], storedAlike(good)))).toEqual(
      ['n1', 'n2', 'n3'].map((node) => `every acknowledged order is on ${node}`)
    )
  })

  it.each([0, 2])('find an order that was sent %i times', (count) => {
    expect(failing(judgeOrders(['a'], storedAlike([order('a', 'n1', '1', count)])))).toEqual(
      ['n1', 'n2', 'n3'].map((node) => `every order on ${node} was sent exactly once`)
    )
  })

  it('find an outbox that never moved', () => {
    expect(failing(judgeOutbox(good.slice(0, 2), 'n1'))).toEqual([
      'the outbox moved with the leader, to a higher fencing token'
    ])
  })

  it('find a token that did not rise', () => {
    expect(failing(judgeOutbox([order('a', 'n1', '9'), order('b', 'n2', '3')], 'n1'))).toEqual([
      'the outbox moved with the leader, to a higher fencing token'
    ])
  })

  it('find two nodes under one token', () => {
    expect(failing(judgeOutbox([order('a', 'n1', '1'), order('b', 'n2', '9'), order('c', 'n3', '9')], 'n1'))).toEqual([
      'no two nodes ever sent under the same token'
    ])
  })

  it('do not hold without any order', () => {
    expect(failing(judgeOrders([], storedAlike([])))).toHaveLength(6)
    expect(failing(judgeOutbox([], 'n1'))).toHaveLength(2)
  })
})

describe('the report', () => {
  it('prints the time of each event', () => {
    const lines: string[] = []
    let nowMs = 5_000
    const timeline = new Timeline((line) => lines.push(line), () => nowMs)
    nowMs = 6_234
    timeline.tell('the leader is dead')
    expect(lines).toEqual(['   1.23 s  the leader is dead'])
  })

  it('is a success only if every check held, and there was one', () => {
    const ignore = (): void => {}
    const check = { claim: 'c', found: 'f' }
    expect(printVerdict([{ ...check, holds: true }], ignore)).toBe(true)
    expect(printVerdict([{ ...check, holds: true }, { ...check, holds: false }], ignore)).toBe(false)
    expect(printVerdict([], ignore)).toBe(false)
  })
})
