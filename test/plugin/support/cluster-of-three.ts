import type { FastifyInstance } from 'fastify'
import Fastify from 'fastify'
import { expect, onTestFinished } from 'vitest'
import { freePorts } from '../../../src/cli/local/ports.ts'
import type { ClusterOptions } from '../../../src/plugin/index.ts'
import { cluster } from '../../../src/plugin/index.ts'
import { until } from '../../support/until.ts'

/** One node of a cluster in this process. */
export interface Node {
  readonly id: string
  readonly app: FastifyInstance
  readonly url: string
}

/** The server under the application of a node. */
export interface ServerKind {
  readonly protocol: 'http' | 'https'
  readonly create: () => FastifyInstance
}

/**
 * Starts three nodes on this machine and waits until each of them knows one leader. `declare` registers the plugin with
 * the options given, wherever among the application's own plugins it wants to. Closed when the test ends.
 */
export async function clusterOfThree (
  declare: (app: FastifyInstance, options: ClusterOptions) => Promise<void>,
  host = '127.0.0.1',
  { protocol, create }: ServerKind = { protocol: 'http', create: () => Fastify() }
): Promise<Node[]> {
  const members = (await freePorts(3, host)).map((port, index) => ({
    id: `n${index + 1}`,
    url: `${protocol}://${host}:${port}`
  }))
  const nodes = await Promise.all(
    members.map(async ({ id, url }): Promise<Node> => {
      const app = create()
      onTestFinished(async () => {
        await app.close()
      })
      await declare(app, { id, members })
      await app.listen({ host, port: Number(new URL(url).port) })
      return { id, app, url }
    })
  )
  await agreedLeader(nodes)
  return nodes
}

/**
 * Starts a node on its own; `options` has its `url`, or its `members`; `declare` adds to it. Closed when the test ends.
 */
export async function startNode (
  options: ClusterOptions & { readonly id: string },
  url: string,
  declare: (app: FastifyInstance) => void = () => {},
  create: ServerKind['create'] = () => Fastify()
): Promise<Node> {
  const app = create()
  onTestFinished(async () => {
    await app.close()
  })
  await app.register(cluster, options)
  declare(app)
  const { hostname, port } = new URL(url)
  await app.listen({ host: hostname, port: Number(port) })
  return { id: options.id, app, url }
}

/**
 * Waits until all of these know the whole membership: who belongs and which log each of them keeps, written down and
 * settled. Its version does not move by itself after that.
 */
export async function wholeMembership (nodes: readonly Node[]): Promise<void> {
  await until('all know the whole membership', () => nodes.every(({ app }) => {
    const { members, isSettled } = app.cluster.membership
    return isSettled && members.every(({ incarnation }) => incarnation !== undefined)
  }))
}

/** The node that all of these take for the leader, once they do and it leads. */
export async function agreedLeader (nodes: readonly Node[]): Promise<Node> {
  let leader: Node | undefined
  await expect.poll(() => {
    const known = new Set(nodes.map(({ app }) => app.cluster.leader?.id))
    leader = nodes.find(({ id, app }) => app.cluster.isLeader && known.size === 1 && known.has(id))
    return leader?.id
  }, { timeout: 15_000, interval: 10 }).toBeDefined()
  if (leader === undefined) throw new Error('no leader')
  return leader
}
