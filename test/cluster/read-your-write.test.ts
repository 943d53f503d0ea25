import { describe, expect, it } from 'vitest'
import type { OrderPage } from '../../examples/orders/order.ts'
import { send } from './support/requests.ts'
import { startCluster } from './support/start-cluster.ts'

const repetitions = 200

describe('a read on a follower', () => {
  it(`sees the write that another follower just accepted, ${repetitions} times in a row`, async () => {
    const cluster = await startCluster({ gateway: false })
    try {
      const leader = await cluster.waitForLeader()
      const [writing, reading] = cluster.followers(leader)
      for (let number = 1; number <= repetitions; number++) {
        const id = `order-${String(number).padStart(4, '0')}`
        const written = await send('POST', `${writing?.url}/orders`, { id, item: 'tea' })
        expect(written.status).toBe(201)
        const page = JSON.parse((await send('GET', `${reading?.url}/orders`)).text) as OrderPage
        expect(page.orders.at(-1)?.id).toBe(id)
        expect(page.orders).toHaveLength(number)
      }
    } finally {
      await cluster.stop()
    }
  })
})
