import { execFile } from 'node:child_process'
import * as events from 'node:events'
import { promisify } from 'node:util'
import * as nestCommon from '@nestjs/common'
import * as nestCore from '@nestjs/core'
import * as nestSchedule from '@nestjs/schedule'
import Bree from 'bree'
import * as croner from 'croner'
import type { FastifyInstance } from 'fastify'
import nodeCron from 'node-cron'
import * as toadScheduler from 'toad-scheduler'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { ClusterSchedule } from '../../src/plugin/index.ts'
import * as adapter from '../../src/plugin/node-cron.ts'
import { cronRows, cronVersions, cronZones, knowsChange } from '../plugin/primitives/support/cron-table.ts'
import { until } from '../support/until.ts'
import { cronTables } from './support/cron-page.ts'
import { headingsOf } from './support/markdown.ts'
import { runSnippet } from './support/run-snippet.ts'
import { read, root } from './support/snippets.ts'

const document = 'docs/cron-libraries.md'
const page = read(document)
const modules = {
  '@nestjs/common': nestCommon,
  '@nestjs/core': nestCore,
  '@nestjs/schedule': nestSchedule,
  bree: { default: Bree },
  'node:events': events,
  croner,
  'fastify-raft/node-cron': adapter,
  'node-cron': { default: nodeCron },
  'toad-scheduler': toadScheduler
}

describe('the tables of docs/cron-libraries.md', () => {
  it('come from the rows which are tested', ({ skip }) => {
    if (!cronRows.every(knowsChange)) skip(`this runtime has other zones than ${cronZones}`)
    const bodies = new Map(headingsOf(page).map(({ text, body }) => [text, body.split('\n')]))
    for (const [heading, lines] of cronTables()) {
      expect(bodies.get(heading)?.filter((line) => line.startsWith('|'))).toEqual(lines)
    }
  })

  it('name the versions that were run', () => {
    for (const [library, version] of Object.entries(cronVersions)) expect(page).toContain(`${library} ${version}`)
    expect(page).toContain(cronZones)
  })
})

describe('a job that fails', () => {
  const failing: Readonly<Record<string, (job: string) => string>> = {
    croner: (job) => `import { Cron } from 'croner'; new Cron('* * * * * *', ${job})`,
    'croner, with `catch`': (job) => `import { Cron } from 'croner'; new Cron('* * * * * *', { catch: true }, ${job})`,
    'toad-scheduler, `Task`': (job) => toadJob(`new Task('t', ${job}, () => {})`),
    'toad-scheduler, `AsyncTask`': (job) => toadJob(`new AsyncTask('t', ${job}, () => {})`),
    'cron, @nestjs/schedule': (job) =>
      `import { CronJob } from 'cron'; CronJob.from({ cronTime: '* * * * * *', start: true, onTick: ${job} })`,
    'node-cron': (job) => `import cron from 'node-cron'; cron.schedule('* * * * * *', ${job})`
  }
  const kinds = { throws: "throw new Error('failed')", rejects: "return Promise.reject(new Error('failed'))" }

  it('does in each library what its row says', async () => {
    const outcomes = Object.entries(failing).map(async ([library, programOf]) => {
      const ends = [kinds.throws, kinds.rejects].map(async (failure) => await outcomeOf(programOf(jobOf(failure))))
      return [library, ...await Promise.all(ends)]
    })
    const rows = page.split('\n').flatMap((line) => {
      const [, library = '', throws = '', rejects = ''] = line.split('|').map((cell) => cell.trim())
      const isRow = library in failing && /^(goes on|ends the process)/.test(throws)
      return isRow ? [[library, throws.split(',')[0], rejects.split(',')[0]]] : []
    })
    expect(rows).toEqual(await Promise.all(outcomes))
  })

  /** Ends the process with success when it is run a second time. */
  function jobOf (failure: string): string {
    return `() => { globalThis.runs = (globalThis.runs ?? 0) + 1; if (globalThis.runs === 2) process.exit(0); ${failure} }`
  }

  function toadJob (task: string): string {
    return "import { AsyncTask, CronJob, Task, ToadScheduler } from 'toad-scheduler'; " +
      `new ToadScheduler().addCronJob(new CronJob({ cronExpression: '* * * * * *' }, ${task}))`
  }

  async function outcomeOf (program: string): Promise<string> {
    const ran = promisify(execFile)(process.execPath, ['--input-type=module', '-e', program], { cwd: root })
    return await ran.then(() => 'goes on', ({ code }: { readonly code?: unknown }) =>
      code === 1 ? 'ends the process' : `ends with ${JSON.stringify(code)}`)
  }
})

describe('the recipes of docs/cron-libraries.md', () => {
  it.each([
    ['node-cron', "import cron from 'node-cron'"],
    ['croner', "from 'croner'"],
    ['toad-scheduler', "from 'toad-scheduler'"],
    ['@nestjs/schedule', "from '@nestjs/schedule'"]
  ])('%s: the job of the copy that leads writes', async (_library, text) => {
    const { app } = await runSnippet(document, text, ['app'], modules) as { app: FastifyInstance }
    onTestFinished(async () => { await app.close() })
    const reports = app.cluster.map<string>('reports')
    await until('it has run', async () => await reports.get('last') !== null)
    const first = await reports.get('last')
    await until('it has run again', async () => (await reports.get('last'))?.revision !== first?.revision)
  })

  it('bree: a schedule runs the job in its thread, and knows of its end', async () => {
    const { app, schedule, bree } = await runSnippet(document, "from 'bree'", ['app', 'schedule', 'bree'], modules) as {
      app: FastifyInstance
      schedule: ClusterSchedule
      bree: Bree
    }
    onTestFinished(async () => { await app.close() })
    await until('it has run twice', async () => (await schedule.history()).length >= 2)
    expect((await schedule.history()).map(({ outcome }) => outcome)).not.toContain('failed')
    const job = bree.config.jobs[0]
    if (job === undefined) throw new Error('there is no job')
    job.path = "(() => { throw new Error('failed in its thread') })()"
    job.worker = { ...job.worker, eval: true }
    await until('one has failed', async () => (await schedule.history())[0]?.outcome === 'failed')
    expect((await schedule.history())[0]?.error).toBe('failed in its thread')
  })
})
