import fastify, { type FastifyInstance } from 'fastify'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Order, OrderPage } from '../../examples/orders/order.ts'
import { ordersApp } from '../../examples/orders/orders-app.ts'
import { pollUntil } from '../../src/cli/local/polling.ts'
import cluster from '../../src/plugin/index.ts'

let app: FastifyInstance

beforeEach(async () => {
  app = fastify({ ajv: { customOptions: { removeAdditional: false } } })
  await app.register(cluster)
  await app.register(ordersApp)
  await app.ready()
})

afterEach(async () => { await app.close() })

async function post (payload: object) {
  return await app.inject({ method: 'POST', url: '/orders', payload })
}
async function get <T> (url: string): Promise<T> {
  return (await app.inject(url)).json<T>()
}
async function untilSent (id: string): Promise<Order> {
  return await pollUntil(`${id} to be sent`, 5_000, async () => {
    const order = await get<Order>(`/orders/${id}`)
    return order.sentCount > 0 ? order : null
  })
}

describe('the example app', () => {
  it('stores an order and answers it', async () => {
    const answer = await post({ id: 'o1', item: 'tea', quantity: 2 })
    expect(answer.statusCode).toBe(201)
    expect(answer.json()).toEqual({ id: 'o1', item: 'tea', quantity: 2, sentCount: 0, sentBy: null, sentToken: null })
    expect(await get('/orders/o1')).toMatchObject({ id: 'o1', item: 'tea', quantity: 2 })
  })

  it('chooses an id when the client has none', async () => {
    const ids = [(await post({ item: 'tea' })).json<Order>().id, (await post({ item: 'tea' })).json<Order>().id]
    expect(new Set(ids).size).toBe(2)
  })

  it('stores a repeated order once, and answers the first', async () => {
    await post({ id: 'o1', item: 'tea' })
    const again = await post({ id: 'o1', item: 'coffee' })
    expect(again.statusCode).toBe(200)
    expect(again.json()).toMatchObject({ id: 'o1', item: 'tea' })
    expect((await get<OrderPage>('/orders')).orders).toHaveLength(1)
  })

  it('sends each order once, under the leadership in office', async () => {
    await post({ id: 'o1', item: 'tea' })
    const token = (await app.cluster.waitForLeadership(1_000)).token
    expect(await untilSent('o1')).toMatchObject({ sentCount: 1, sentBy: 'n1', sentToken: token })
    await post({ id: 'o1', item: 'tea' })
    await app.inject({ method: 'POST', url: '/reindex' })
    await post({ id: 'o2', item: 'tea' })
    await untilSent('o2')
    expect(await get('/orders/o1')).toMatchObject({ sentCount: 1 })
  })

  it('lists orders page by page', async () => {
    for (const id of ['c', 'a', 'b']) await post({ id, item: 'tea' })
    const first = await get<OrderPage>('/orders?limit=2')
    expect(first).toMatchObject({ orders: [{ id: 'a' }, { id: 'b' }], next: 'b' })
    expect(await get('/orders?limit=2&after=b')).toMatchObject({ orders: [{ id: 'c' }], next: null })
    expect(await get('/orders?read=local')).toMatchObject({
      orders: [{ id: 'a' }, { id: 'b' }, { id: 'c' }],
      next: null
    })
  })

  it('counts its orders on the leader', async () => {
    for (const id of ['a', 'b']) await post({ id, item: 'tea' })
    const answer = await app.inject({ method: 'POST', url: '/reindex' })
    expect(answer.json()).toEqual({ orders: 2, by: 'n1' })
  })

  it('answers 404 for an order that is not there', async () => {
    const answer = await app.inject('/orders/none')
    expect(answer.statusCode).toBe(404)
    expect(answer.json()).toMatchObject({ code: 'ORDER_NOT_FOUND', message: 'There is no order none' })
  })

  it.each([
    [{}],
    [{ item: '' }],
    [{ item: 'tea', quantity: 0 }],
    [{ item: 'tea', id: '../x' }],
    [{ item: 'tea', price: 1 }]
  ])('refuses %j', async (body) => {
    expect((await post(body)).statusCode).toBe(400)
  })

  it.each(['/orders?read=sometimes', '/orders?limit=0', '/orders?limit=1001', '/orders?page=2'])(
    'refuses GET %s',
    async (url) => {
      expect((await app.inject(url)).statusCode).toBe(400)
    }
  )
})
