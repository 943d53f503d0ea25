import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { FastifyInstance } from 'fastify'
import Fastify from 'fastify'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { ClusterOptions } from '../../../src/plugin/index.ts'
import { cluster } from '../../../src/plugin/index.ts'

async function start (options?: ClusterOptions): Promise<FastifyInstance> {
  const app = Fastify()
  onTestFinished(async () => { await app.close() })
  await (options === undefined ? app.register(cluster) : app.register(cluster, options))
  app.post('/orders', { forward: true }, async (request) => app.cluster.map('orders').set('1', request.body))
  await app.ready()
  return app
}

async function scratch (): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'fastify-raft-'))
  onTestFinished(async () => { await rm(directory, { recursive: true, force: true }) })
  return directory
}

describe('a cluster of one', () => {
  it('needs no options, and leads after ready', async () => {
    const app = await start()
    expect(app.cluster).toMatchObject({ nodeId: 'n1', isLeader: true, leaderEndpoint: null })
    expect((await app.inject({ method: 'POST', url: '/orders', payload: { n: 1 } })).json()).toMatchObject({
      key: '1',
      value: { n: 1 }
    })
    expect((await app.inject('/_cluster/v1/leader/self')).statusCode).toBe(200)
    await expect.poll(async () => (await app.inject('/_cluster/v1/readyz')).statusCode).toBe(200)
    expect(app.cluster.status.leaseRemainingMs).toBeNull()
  })

  it('has the URL that it listens on', async () => {
    const app = await start()
    const url = await app.listen({ port: 0, host: '127.0.0.1' })
    expect(app.cluster.leaderEndpoint).toBe(url)
  })

  it('has no routes for peers: they are answered as any unknown route is', async () => {
    const app = await start()
    const url = await app.listen({ port: 0, host: '127.0.0.1' })
    const answers = await Promise.all(['_cluster/raft/append', '_cluster/raft/control', 'no/such/route'].map(
      async (path) => {
        const response = await fetch(`${url}/${path}`, { method: 'POST' })
        return { status: response.status, body: (await response.text()).replace(path, 'path') }
      }
    ))
    expect(new Set(answers.map((answer) => JSON.stringify(answer)))).toEqual(new Set([JSON.stringify(answers[2])]))
    expect(answers[2]?.status).toBe(404)
  })

  it('runs work, locks and singletons', async () => {
    const app = await start()
    expect(await app.cluster.executeIfLeader(() => 1)).toMatchObject({ status: 'completed', value: 1 })
    expect(await app.cluster.lock('x').using((grant) => Number(grant.token) > 0)).toBe(true)
    let running = false
    app.cluster.singleton('x', async (signal) => {
      running = true
      await new Promise((resolve) => { signal.addEventListener('abort', resolve) })
      running = false
    })
    await expect.poll(() => running).toBe(true)
    await app.close()
    expect(running).toBe(false)
  })

  it('keeps what it acknowledged in its data directory, and its tokens only rise', async () => {
    const dataDir = await scratch()
    const first = await start({ dataDir })
    await first.cluster.map('m').set('k', 'v')
    const { token } = await first.cluster.waitForLeadership()
    await first.close()
    const second = await start({ dataDir })
    expect(await second.cluster.map('m').get('k')).toMatchObject({ value: 'v' })
    expect(Number((await second.cluster.waitForLeadership()).token)).toBeGreaterThan(Number(token))
  })

  it('refuses the data directory of another node or cluster at registration', async () => {
    const dataDir = await scratch()
    await (await start({ dataDir })).close()
    for (const options of [{ dataDir, id: 'n2' }, { dataDir, clusterId: 'other' }]) {
      await expect(start(options)).rejects.toMatchObject({ code: 'RAFT_DATA_DIR_FOREIGN' })
    }
  })

  it('refuses work after it was closed', async () => {
    const app = await start()
    await app.close()
    await expect(app.cluster.map('m').set('k', 'v')).rejects.toMatchObject({ code: 'RAFT_STOPPED' })
    await expect(app.cluster.waitForLeader()).rejects.toMatchObject({ code: 'RAFT_STOPPED' })
    expect(app.cluster.isLeader).toBe(false)
  })
})
