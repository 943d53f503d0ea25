import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Fastify from 'fastify'
import { afterEach, describe, expect, it } from 'vitest'
import type { ClusterOptions, SnapshotTaken } from '../../../src/plugin/index.ts'
import cluster from '../../../src/plugin/index.ts'
import { until } from '../../support/until.ts'

const cleanups: Array<() => Promise<unknown>> = []
afterEach(async () => { for (const cleanup of cleanups.splice(0).reverse()) await cleanup() })

async function directory (): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'fastify-raft-'))
  cleanups.push(() => rm(path, { recursive: true, force: true }))
  return path
}

async function start (options: ClusterOptions) {
  const app = Fastify()
  await app.register(cluster, options)
  await app.ready()
  cleanups.push(() => app.close())
  return app
}

describe('snapshots of a node', () => {
  it('are taken by POST snapshot, shown in the status, announced, and outlive a restart', async () => {
    const dataDir = await directory()
    const app = await start({ dataDir })
    const taken: SnapshotTaken[] = []
    app.cluster.on('snapshotTaken', (snapshot) => { taken.push(snapshot) })
    for (const key of ['a', 'b', 'c']) await app.cluster.map('m').set(key, { key })
    expect(app.cluster.status.snapshotIndex).toBe(0)
    const response = await app.inject({ method: 'POST', url: '/_cluster/v1/snapshot' })
    expect(response.statusCode).toBe(200)
    const { appliedIndex, term } = app.cluster.status
    expect(response.json()).toEqual({ nodeId: 'n1', index: appliedIndex, term, bytes: expect.any(Number) as number })
    expect(app.cluster.status.snapshotIndex).toBe(appliedIndex)
    await until('the event', () => taken.length === 1)
    expect(taken).toMatchObject([{ index: appliedIndex, term }])
    expect(await readdir(join(dataDir, 'snapshots'))).toHaveLength(1)
    await app.close()
    const again = await start({ dataDir })
    expect(again.cluster.status.snapshotIndex).toBe(appliedIndex)
    expect((await again.cluster.map('m').list()).entries).toMatchObject([{ key: 'a' }, { key: 'b' }, { key: 'c' }])
  })

  it('are taken by the node itself when enough was written, and the log shrinks behind them', async () => {
    const app = await start({ dataDir: await directory(), snapshots: { everyEntries: 20, trailingEntries: 0 } })
    const map = app.cluster.map('m')
    for (let number = 0; number < 50; number++) await map.set(`k${number % 5}`, number)
    await until('a snapshot', () => app.cluster.status.snapshotIndex > 20)
  })

  it('are also taken in memory: the log is bounded without a data directory', async () => {
    const app = await start({ snapshots: { everyEntries: 10, trailingEntries: 0 } })
    for (let number = 0; number < 30; number++) await app.cluster.map('m').set('k', number)
    await until('a snapshot', () => app.cluster.status.snapshotIndex > 10)
  })

  it('are refused to web pages, to other machines, and with a body that has content', async () => {
    const app = await start({})
    const url = '/_cluster/v1/snapshot'
    const call = async (more: object) => (await app.inject({ method: 'POST', url, ...more })).statusCode
    expect(await call({ headers: { origin: 'http://evil.example' } })).toBe(403)
    expect(await call({ remoteAddress: '10.1.2.3' })).toBe(403)
    expect(await call({ payload: { path: '../../etc' } })).toBe(400)
    expect(app.cluster.status.snapshotIndex).toBe(0)
  })

  it('invalid options are refused, each named', async () => {
    const app = Fastify()
    await expect(
      app.register(cluster, { snapshots: { everyEntries: 0, bytesPerSecond: 1, size: 3 } as object })
    ).rejects.toMatchObject({
      code: 'RAFT_INVALID_OPTIONS',
      message: expect.stringMatching(/snapshots\.everyEntries.*snapshots\.bytesPerSecond|snapshots\.size/s) as string
    })
    await app.close()
  })
})
