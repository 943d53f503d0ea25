import type { FastifyInstance } from 'fastify'
import cron, { type ScheduledTask } from 'node-cron'
import { afterEach, describe, expect, it } from 'vitest'
import type { ClusterMap, ClusterSchedule } from '../../src/plugin/index.ts'
import * as nodeCron from '../../src/plugin/node-cron.ts'
import { until } from '../support/until.ts'
import { runSnippet } from './support/run-snippet.ts'

const document = 'docs/migrating.md'
const open: FastifyInstance[] = []
afterEach(async () => { for (const app of open.splice(0)) await app.close() })

interface Shop {
  readonly sellOne: (article: string) => Promise<boolean>
  readonly follow: (show: (article: string, left: number | null) => void) => Promise<void>
  readonly stock: ClusterMap<number>
}

interface Running {
  readonly app: FastifyInstance
}

/** Runs a snippet, and has its application ready. */
async function start<T> (text: string, names: readonly string[], more = {}): Promise<T & Running> {
  const values = await runSnippet(document, text, ['app', ...names], more) as T & Running
  open.push(values.app)
  await values.app.ready()
  await values.app.cluster.waitForLeadership()
  return values
}

describe('docs/migrating.md', () => {
  it('keeps a job of node-cron, and runs none of its slots twice', async () => {
    const { app, job, runCoordinator } = await start<{ job: ScheduledTask, runCoordinator: nodeCron.RunCoordinator }>(
      'createRunCoordinator(app.cluster)',
      ['job', 'runCoordinator'],
      { 'fastify-raft/node-cron': nodeCron, 'node-cron': { default: cron } }
    )
    expect(job.name).toBe('report')
    const told: boolean[] = []
    for (const day of [1, 1, 2, 1]) told.push(await runCoordinator.shouldRun(`report:2030-01-0${day}T02:00:00.000Z`, 1_000))
    expect(told).toEqual([true, false, true, false])
    await app.close()
    expect(cron.getTasks().has(job.id)).toBe(false)
  })

  it('has a schedule in the place of that job', async () => {
    const { report, reports } = await start<{ report: ClusterSchedule, reports: ClusterMap<string> }>(
      "schedule('report'",
      ['report', 'reports']
    )
    await report.run()
    await until('the report', async () => (await reports.list()).entries.length === 1)
    expect(await report.status()).toMatchObject({ cron: '0 3 * * *', timeZone: 'Europe/Berlin' })
  })

  it('has a schedule in the place of a job scheduler', async () => {
    const { cleanup, rows } = await start<{ cleanup: ClusterSchedule, rows: ClusterMap<number> }>(
      "schedule('cleanup'",
      ['cleanup', 'rows']
    )
    for (const value of [-1, 1, -2]) await rows.set(`row ${value}`, value)
    await cleanup.run()
    await until('the end of the run', async () => (await cleanup.history()).length === 1)
    expect((await rows.list()).entries.map(({ value }) => value)).toEqual([1])
    expect(await cleanup.history()).toMatchObject([{ outcome: 'completed' }])
  })

  it('has a lock in the place of one of redlock', async () => {
    const { app, send, invoices } = await start<{ send: (id: string) => Promise<void>, invoices: ClusterMap<string> }>(
      'async function send',
    ['send', 'invoices']
    )
    await Promise.all(['a', 'b', 'c'].map(send))
    expect((await invoices.list()).entries.map(({ key }) => key)).toEqual(['a', 'b', 'c'])
    expect(await app.cluster.lock('invoice').tryAcquire()).not.toBeNull()
  })

  it('has a transaction and a watch in the place of those of etcd', async () => {
    const { app, sellOne, follow, stock } = await start<Shop>('async function sellOne', ['sellOne', 'follow', 'stock'])
    const seen: unknown[] = []
    const following = follow((article, left) => { seen.push([article, left]) })
    await stock.set('tea', 2)
    expect([await sellOne('tea'), await sellOne('tea'), await sellOne('tea'), await sellOne('milk')])
      .toEqual([true, true, false, false])
    await stock.delete('tea')
    await until('all changes', () => seen.length === 4)
    expect(seen).toEqual([['tea', 2], ['tea', 1], ['tea', 0], ['tea', null]])
    await app.close()
    await following
  })
})
