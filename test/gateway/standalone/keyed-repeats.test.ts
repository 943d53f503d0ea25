import type { FastifyReply, FastifyRequest } from 'fastify'
import { describe, expect, it, onTestFinished } from 'vitest'
import { createGateway } from '../../../src/gateway/index.ts'
import { cluster } from '../../../src/plugin/index.ts'
import type { Node } from '../../plugin/support/cluster-of-three.ts'
import { agreedLeader, clusterOfThree } from '../../plugin/support/cluster-of-three.ts'

interface Doors {
  readonly gateway: string
  readonly follower: Node
  /** Names of the routes whose handlers ran, in order. */
  readonly runs: string[]
  /** Requests that came to the leader over a hop. */
  readonly arrivals: string[]
}

/** Three nodes and a gateway. The connection of a handler's first run is cut before its answer. */
async function startDoors (): Promise<Doors> {
  const runs: string[] = []
  const arrivals: string[] = []
  const nodes = await clusterOfThree(async (app, options) => {
    app.addHook('onRequest', async ({ url }) => { if (app.cluster.isLeader) arrivals.push(url) })
    await app.register(cluster, options)
    const handler = async (request: FastifyRequest, reply: FastifyReply): Promise<unknown> => {
      const { url = '' } = request.routeOptions
      runs.push(url)
      if (runs.filter((name) => name === url).length === 1) {
        // The hop's own connection, and not what is shown to the application.
        reply.raw.socket?.destroy()
      }
      return { run: runs.filter((name) => name === url).length }
    }
    app.post('/once', { forward: true, idempotent: true }, handler)
    app.post('/only', { leaderOnly: true, idempotent: true }, handler)
    app.post('/forwarded', { forward: true }, handler)
    app.post('/plain', handler)
    app.post('/leader-only', { leaderOnly: true }, handler)
  })
  const leader = await agreedLeader(nodes)
  const follower = nodes.find((node) => node !== leader)
  if (follower === undefined) throw new Error('there are three nodes')
  const gateway = createGateway({ nodes: nodes.map(({ url }) => url) })
  onTestFinished(async () => { await gateway.close() })
  const { url } = await gateway.listen({ port: 0 })
  return { gateway: url, follower, runs, arrivals }
}

async function post (url: string, key?: string): Promise<{ readonly status: number, readonly body: unknown }> {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...(key === undefined ? {} : { 'idempotency-key': key }) },
    body: '{}'
  })
  return { status: response.status, body: await response.json() }
}

describe('a keyed request whose connection to the leader is lost', () => {
  it('is sent again by the gateway and by a follower, and the route that knows its key runs once', async () => {
    const { gateway, follower, runs, arrivals } = await startDoors()
    for (const [url, key] of [[`${gateway}/only`, 'a'], [`${follower.url}/once`, 'b']] as const) {
      const before = arrivals.length
      const answer = await post(url, key)
      // The answer of the first run, or that it is being remembered at this very moment.
      expect([200, 409]).toContain(answer.status)
      expect(arrivals.length - before).toBe(2)
      expect(await post(url, key)).toEqual({ status: 200, body: { run: 1 } })
    }
    expect(runs.filter((name) => name === '/only' || name === '/once')).toHaveLength(2)
  })

  it.each(['/plain', '/forwarded', '/leader-only'])(
    'is refused on %s, which does not know it by its key: 502, and the handler ran once', async (path) => {
      const { gateway, runs, arrivals } = await startDoors()
      const answer = await post(`${gateway}${path}`, 'a')
      expect(answer).toMatchObject({ status: 502, body: { code: 'RAFT_OUTCOME_UNKNOWN' } })
      expect(runs).toEqual([path])
      // The leader was asked, and has said no.
      expect(arrivals).toEqual([path, path])
    })

  it('is not sent again without a key, nor by a follower whose own route does not know keys', async () => {
    const { gateway, follower, runs, arrivals } = await startDoors()
    expect(await post(`${gateway}/only`)).toMatchObject({ status: 502 })
    expect(await post(`${follower.url}/forwarded`, 'a')).toMatchObject({ status: 502 })
    expect(runs).toEqual(['/only', '/forwarded'])
    expect(arrivals).toEqual(['/only', '/forwarded'])
  })
})
