import { randomUUID } from 'node:crypto'
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import type { FastifyInstance } from 'fastify'
import type { ClusterMap } from 'fastify-raft'
import { RevisionMismatchError } from 'fastify-raft/errors'
import { newOrderSchema, type Order, orderIdSchema, type OrderPage, pageSchema, readSchema } from './order.ts'
import { Outbox } from './outbox.ts'

/**
 * The example app of `fastify-raft node`: orders in a replicated map, written on the leader, read on any node, and sent
 * once each by an outbox that runs where the leader is. Needs the cluster plugin on the same instance.
 */
export async function ordersApp (instance: FastifyInstance): Promise<void> {
  const app = instance.withTypeProvider<TypeBoxTypeProvider>()
  const orders: ClusterMap<Order> = app.cluster.map<Order>('orders')
  const outbox = new Outbox(orders, app.cluster.nodeId)
  app.cluster.singleton('outbox', async (signal, grant) => { await outbox.run(signal, grant) })

  app.post('/orders', { forward: true, schema: { body: newOrderSchema } }, async (request, reply) => {
    const { id = randomUUID(), item, quantity } = request.body
    const { order, created } = await createOnce(orders, {
      id,
      item,
      quantity,
      sentCount: 0,
      sentBy: null,
      sentToken: null
    })
    outbox.announce(id)
    return await reply.code(created ? 201 : 200).send(order)
  })

  app.get('/orders', { schema: { querystring: pageSchema } }, async (request): Promise<OrderPage> => {
    const { read, after, limit } = request.query
    const { entries, next } = await orders.list({ read, after, limit })
    return { orders: entries.map((entry) => entry.value), next }
  })

  app.get('/orders/:id', { schema: { params: orderIdSchema, querystring: readSchema } }, async (request, reply) => {
    const entry = await orders.get(request.params.id, { read: request.query.read })
    if (entry !== null) return entry.value
    return await reply
      .code(404)
      .send({
        statusCode: 404,
        code: 'ORDER_NOT_FOUND',
        error: 'Not Found',
        message: `There is no order ${request.params.id}`
      })
  })

  app.post('/reindex', { leaderOnly: true }, async () => {
    let count = 0
    for await (const { key, value } of orders.entries()) {
      if (value.sentCount === 0) outbox.announce(key)
      count++
    }
    return { orders: count, by: app.cluster.nodeId }
  })
}

/** Stores an order unless its id is taken, and returns the stored one. */
async function createOnce (
  orders: ClusterMap<Order>,
  order: Order
): Promise<{ readonly order: Order; readonly created: boolean }> {
  try {
    await orders.set(order.id, order, { ifRevision: 0 })
    return { order, created: true }
  } catch (error) {
    if (!(error instanceof RevisionMismatchError)) throw error
    const existing = await orders.get(order.id)
    // Orders are never deleted, so an id that was taken stays taken.
    if (existing === null) throw error
    return { order: existing.value, created: false }
  }
}
