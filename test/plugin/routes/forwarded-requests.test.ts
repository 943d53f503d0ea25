import type { FastifyInstance } from 'fastify'
import { describe, expect, it } from 'vitest'
import type { ClusterOptions } from '../../../src/plugin/index.ts'
import { cluster } from '../../../src/plugin/index.ts'
import { RawClient } from '../../gateway/support/servers.ts'
import { until } from '../../support/until.ts'
import type { Node } from '../support/cluster-of-three.ts'
import { agreedLeader, clusterOfThree } from '../support/cluster-of-three.ts'

/** Three real nodes with these routes, their leader, and a follower of it. */
async function start (declare: (app: FastifyInstance) => void, given: ClusterOptions = {}): Promise<{
  readonly leader: Node
  readonly follower: Node
}> {
  const nodes = await clusterOfThree(async (app, options) => {
    await app.register(cluster, { ...options, ...given })
    declare(app)
  })
  const leader = await agreedLeader(nodes)
  const follower = nodes.find((node) => node !== leader)
  if (follower === undefined) throw new Error('there are two followers')
  return { leader, follower }
}

describe('B11 a leader that is lost before its answer', () => {
  it('has not run the handler of a route twice unless that route says that it may', async () => {
    const ran: string[] = []
    const { follower } = await start((app) => {
      for (const method of ['GET', 'PUT', 'DELETE', 'POST'] as const) {
        for (const repeatable of [undefined, true]) {
          const url = repeatable === true ? '/again' : '/once'
          app.route({
            method,
            url,
            forward: true,
            ...(repeatable === undefined ? {} : { repeatable }),
            handler: (request, reply) => {
              ran.push(`${request.method} ${url}`)
              reply.hijack()
              reply.raw.destroy()
            }
          })
        }
      }
    })
    const timesRun = async (method: string, path: string): Promise<number> => {
      const before = ran.length
      const answer = await fetch(`${follower.url}${path}`, { method })
      expect(answer.status).toBe(502)
      return ran.length - before
    }
    for (const method of ['PUT', 'DELETE', 'POST']) {
      expect([method, await timesRun(method, '/once')]).toEqual([method, 1])
      expect([method, await timesRun(method, '/again')]).toEqual([method, 2])
    }
    expect(await timesRun('GET', '/once')).toBe(2)
  })
})

describe('B15 a leadership that ends while the body comes in', () => {
  it('has its request executed once, by the next leader, or by nobody where there is no forwarder', async () => {
    const ran: string[] = []
    const begun: string[] = []
    const { leader, follower } = await start((app) => {
      app.addHook('preParsing', async () => { begun.push(app.cluster.nodeId) })
      const handler = async (): Promise<object> => {
        ran.push(app.cluster.nodeId)
        return { by: app.cluster.nodeId }
      }
      app.post('/forward', { forward: true }, handler)
      app.post('/only', { leaderOnly: true }, handler)
    })
    const send = ({ url }: Node, path: string): RawClient => new RawClient(Number(new URL(url).port)).send(
      `POST ${path} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{`
    )
    const forwarded = send(follower, '/forward')
    const direct = send(leader, '/only')
    await until('both are on their way', () => begun.filter((id) => id === leader.id).length === 2)
    const { id: next } = await leader.app.cluster.transferLeadership(follower.id)
    forwarded.send('}')
    direct.send('}')
    expect(await forwarded.untilReceived('"by"')).toMatch(/^HTTP\/1\.1 200 /)
    expect(await direct.untilReceived('RAFT_NOT_LEADER')).toMatch(/^HTTP\/1\.1 503 /)
    expect(ran).toEqual([next])
  })
})

describe('a deadline of a route', () => {
  it('lets a slow handler answer through a follower too, in a scope as well, and nothing else', async () => {
    const slow = async (): Promise<string> => {
      await new Promise((resolve) => setTimeout(resolve, 700))
      return 'done'
    }
    const { follower, leader } = await start((app) => {
      app.addHook('onRequest', async (_request, reply) => { reply.header('access-control-allow-origin', '*') })
      app.post('/own', { forward: { timeoutMs: 10_000 } }, slow)
      app.post('/plain', { forward: true }, slow)
      app.register(async (scope) => {
        scope.clusterRoutes({ forward: { timeoutMs: 10_000 } })
        scope.post('/scope', slow)
        scope.post('/back', { forward: true }, slow)
      })
    }, { forward: { timeoutMs: 300 } })
    const statusOf = async ({ url }: Node, path: string): Promise<number> => {
      const response = await fetch(`${url}${path}`, { method: 'POST' })
      // A browser shows neither the answer of the leader nor one in its place without it.
      expect(response.headers.get('access-control-allow-origin')).toBe('*')
      return response.status
    }
    expect(await Promise.all(['/own', '/scope', '/plain', '/back'].map((path) => statusOf(follower, path))))
      .toEqual([200, 200, 504, 504])
    expect(await statusOf(leader, '/plain')).toBe(200)
  })
})
