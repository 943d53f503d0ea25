import * as timers from 'node:timers/promises'
import type { FastifyInstance } from 'fastify'
import { afterEach, describe, expect, it } from 'vitest'
import type { ClusterSingleton, ClusterWorkers } from '../../src/plugin/index.ts'
import { until } from '../support/until.ts'
import { runSnippet } from './support/run-snippet.ts'

const open: FastifyInstance[] = []
afterEach(async () => { for (const app of open.splice(0)) await app.close() })

describe('the section on tasks in docs/coordination.md', () => {
  it('has a singleton that works until it is told to stop', async () => {
    const names = ['app', 'sent', 'outbox']
    const more = { 'node:timers/promises': timers }
    const { app, sent, outbox } = await runSnippet('docs/coordination.md', "singleton('outbox'", names, more) as {
      app: FastifyInstance
      sent: { get: (key: string) => Promise<{ readonly value: number } | null> }
      outbox: ClusterSingleton
    }
    open.push(app)
    await app.ready()
    await until('it has sent twice', async () => ((await sent.get('last'))?.value ?? 0) >= 2)
    expect(outbox.state).toBe('running')
    await app.close()
    expect(outbox.lastError).toBeUndefined()
  })
})

describe('the section on tasks that are spread in docs/coordination.md', () => {
  it('has workers that each do their part', async () => {
    const more = { 'node:timers/promises': timers }
    const { app, progress, importers } = await runSnippet('docs/coordination.md', ".workers('import'", ['app', 'progress', 'importers'], more) as {
      app: FastifyInstance
      progress: { get: (key: string) => Promise<{ readonly value: number } | null> }
      importers: ClusterWorkers
    }
    open.push(app)
    await app.ready()
    const parts = [0, 1, 2, 3].map((worker) => `part ${worker} of 4`)
    await until('each has worked twice', async () =>
      (await Promise.all(parts.map(async (part) => (await progress.get(part))?.value ?? 0))).every((done) => done >= 2))
    expect(importers.states).toEqual(Array(4).fill('running'))
    await app.close()
    expect(importers.lastError).toBeUndefined()
  })
})

describe('the section on once in docs/coordination.md', () => {
  it('does its work, and no second time', async () => {
    const { app, seeded } = await runSnippet('docs/coordination.md', ".once('seed'", ['app', 'seeded']) as {
      app: FastifyInstance
      seeded: unknown
    }
    open.push(app)
    expect(seeded).toEqual({ rows: 2 })
    expect(await app.cluster.once('seed', 1, () => 'again')).toEqual({ rows: 2 })
  })
})
