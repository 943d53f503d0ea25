import { Type } from '@fastify/type-provider-typebox'

const idPattern = '^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$'

/** Body of `POST /orders`. With an id it may be repeated safely: the same id is one order. */
export const newOrderSchema = Type.Object(
  {
    id: Type.Optional(
      Type.String({ pattern: idPattern, description: 'Chosen by the client; a random one unless given.' })
    ),
    item: Type.String({ minLength: 1, maxLength: 200 }),
    quantity: Type.Integer({ minimum: 1, maximum: 1_000_000, default: 1 })
  },
  { additionalProperties: false }
)

/** Query of `GET /orders` and `GET /orders/:id`. */
export const readSchema = Type.Object({
  read: Type.Union([Type.Literal('linearizable'), Type.Literal('local')], { default: 'linearizable' })
}, { additionalProperties: false })

/** Query of `GET /orders`: which page, in order of the ids. */
export const pageSchema = Type.Object({
  ...readSchema.properties,
  after: Type.Optional(Type.String({ pattern: idPattern })),
  limit: Type.Integer({ minimum: 1, maximum: 1_000, default: 1_000 })
}, { additionalProperties: false })

/** Path of `GET /orders/:id`. */
export const orderIdSchema = Type.Object({ id: Type.String({ pattern: idPattern }) })

/** An order as it is stored. */
export interface Order {
  readonly id: string
  readonly item: string
  readonly quantity: number
  /** How often the outbox sent it: 0 or 1, unless the outbox is wrong. */
  readonly sentCount: number
  /** The node that sent it. */
  readonly sentBy: string | null
  /** Fencing token of the leadership under which it was sent. */
  readonly sentToken: string | null
}

/** A page of orders; `next` is the `after` of the next one, null at the end. */
export interface OrderPage {
  readonly orders: readonly Order[]
  readonly next: string | null
}
