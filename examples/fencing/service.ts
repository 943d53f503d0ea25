import Fastify, { type FastifyInstance } from 'fastify'
import { assertToken, fencingField } from 'fastify-raft'

interface Put {
  Params: { name: string }
  Body: { value: string }
}

/** A service that holders write to. It keeps the token beside each value, and refuses earlier ones with 412. */
export function createService (): FastifyInstance {
  const app = Fastify()
  const values = new Map<string, { readonly value: string, readonly token: string }>()
  app.put<Put>('/values/:name', async ({ params: { name }, body: { value }, headers }) => {
    const token = headers[fencingField]
    // No await between the look and the write. A service with a database looks in the statement that writes.
    assertToken(values.get(name)?.token ?? null, token)
    values.set(name, { value, token })
    return { value }
  })
  // For comparison: whoever comes last wins.
  const unfenced = new Map<string, string>()
  app.put<Put>('/unfenced/:name', async ({ params: { name }, body: { value } }) => {
    unfenced.set(name, value)
    return { value }
  })
  app.get<Pick<Put, 'Params'>>('/values/:name', async ({ params: { name } }) => ({ value: values.get(name)?.value ?? null }))
  app.get<Pick<Put, 'Params'>>('/unfenced/:name', async ({ params: { name } }) => ({ value: unfenced.get(name) ?? null }))
  return app
}
