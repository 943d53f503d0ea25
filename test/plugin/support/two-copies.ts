import type { FastifyInstance, FastifyServerOptions } from 'fastify'
import Fastify from 'fastify'
import { onTestFinished } from 'vitest'
import { freePorts } from '../../../src/cli/local/ports.ts'
import { createClusterPlugin } from '../../../src/plugin/plugin.ts'
import { FakePeerEngine } from './fake-app.ts'

/** One of two copies of an application. */
export interface Copy {
  readonly app: FastifyInstance
  readonly engine: FakePeerEngine
  readonly url: string
}

/** A copy that follows, and the one that it forwards to. */
export interface TwoCopies {
  readonly follower: Copy
  readonly leader: Copy
}

/**
 * Declares the application of one copy; calls `registerCluster` where among its plugins the cluster is to come. `id` is
 * n1 on the follower and n2 on the leader.
 */
export type DeclareCopy = (app: FastifyInstance, registerCluster: () => Promise<void>, id: string) => Promise<void>

/** Two copies of an application over fake engines, both listening: n1 follows n2. Closed when the test ends. */
export async function twoCopies (declare: DeclareCopy, serverOptions: FastifyServerOptions = {}): Promise<TwoCopies> {
  const members = (await freePorts(2)).map((port, index) => ({ id: `n${index + 1}`, url: `http://127.0.0.1:${port}` }))
  const start = async (id: string): Promise<Copy> => {
    const app = Fastify(serverOptions)
    onTestFinished(async () => { await app.close() })
    let engine: FakePeerEngine | null = null
    const cluster = createClusterPlugin(async (request) => {
      engine = new FakePeerEngine(request)
      return engine
    })
    const options = { id, members, dataDir: import.meta.dirname, forward: { waitForLeaderMs: 500 } }
    await declare(app, async () => { await app.register(cluster, options) }, id)
    const { port } = new URL(members[id === 'n1' ? 0 : 1]?.url ?? '')
    const url = await app.listen({ host: '127.0.0.1', port: Number(port) })
    if (engine === null) throw new Error('the cluster was not registered')
    return { app, engine, url }
  }
  const [follower, leader] = [await start('n1'), await start('n2')]
  leader.engine.lead()
  follower.engine.lose('n2')
  follower.engine.request.nonces.learn('n2', leader.engine.request.nonces.ownBytes)
  return { follower, leader }
}

/** Reads what came with an answer, as far as tests look at it. */
export async function answerOf (response: Response): Promise<{ readonly status: number, readonly body: unknown }> {
  const text = await response.text()
  const isJson = response.headers.get('content-type')?.startsWith('application/json') === true
  return { status: response.status, body: isJson ? JSON.parse(text) as unknown : text }
}
