import Fastify from 'fastify'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { ScheduledRun } from '../../../src/plugin/index.ts'
import { cluster } from '../../../src/plugin/index.ts'
import { until } from '../../support/until.ts'

/** A lone node with a schedule that comes once a year, and what its routes answer. */
async function served () {
  const app = Fastify()
  onTestFinished(async () => { await app.close() })
  await app.register(cluster)
  const runs: ScheduledRun[] = []
  let end = (): void => {}
  app.cluster.schedule('new year', '0 0 1 1 *', async (run) => {
    runs.push(run)
    await new Promise<void>((resolve) => { end = resolve })
  })
  await app.ready()
  await until('the schedule to be defined', async () => (await app.cluster.schedules.list()).length === 1 ? true : null)
  const call = async (method: 'GET' | 'POST' | 'DELETE', path: string, body?: object) => {
    const response = await app.inject({ method, url: `/_cluster/v1/schedules${path}`, ...(body === undefined ? {} : { body }) })
    return { status: response.statusCode, body: response.json<Record<string, unknown>>() }
  }
  return { app, runs, call, end: () => { end() } }
}

const path = '/new%20year'

describe('the routes of schedules', () => {
  it('list them, tell the next slots and what ran', async () => {
    const { call, runs, end } = await served()
    const { body } = await call('GET', '')
    expect(body).toMatchObject({ schedules: [{ name: 'new year', cron: '0 0 1 1 *', running: [], paused: null }] })
    const year = new Date().getUTCFullYear() + 1
    expect((await call('GET', `${path}/preview?count=2`)).body).toEqual({
      slots: [`${year}-01-01T00:00:00.000Z`, `${year + 1}-01-01T00:00:00.000Z`]
    })
    expect((await call('GET', `${path}/preview`)).body['slots']).toHaveLength(10)
    expect(await call('POST', `${path}/run`, {})).toEqual({ status: 202, body: { name: 'new year' } })
    await until('the run', () => runs[0] ?? null)
    expect(await call('POST', `${path}/run`, {})).toMatchObject({ status: 409, body: { code: 'RAFT_SCHEDULE_RUNNING' } })
    expect((await call('GET', path)).body).toMatchObject({ running: [{ trigger: 'manual', node: 'n1', attempt: 1 }] })
    end()
    const history = await until('its end', async () => {
      const { body } = await call('GET', `${path}/history`)
      return (body['runs'] as object[]).length === 1 ? body : null
    })
    expect(history).toMatchObject({ runs: [{ outcome: 'completed', trigger: 'manual', error: null }] })
  })

  it('pause and resume them, and run the slots of the past', async () => {
    const { call, runs } = await served()
    expect(await call('POST', `${path}/pause`, { reason: 'a holiday' }))
      .toMatchObject({ status: 200, body: { paused: { reason: 'a holiday' }, nextAt: null } })
    expect(await call('POST', `${path}/resume`, {})).toMatchObject({ status: 200, body: { paused: null } })
    const stretch = { from: '2020-01-01T00:00:00Z', to: '2022-01-01T00:00:00Z' }
    expect(await call('POST', `${path}/backfill`, stretch)).toEqual({ status: 202, body: { name: 'new year', slots: 2 } })
    const run = await until('the first of them', () => runs[0] ?? null)
    expect(run.scheduledFor).toEqual(new Date('2020-01-01T00:00:00Z'))
  })

  it('forget one, which its leader then registers anew', async () => {
    const { call, app } = await served()
    await call('POST', `${path}/pause`, {})
    expect(await call('DELETE', path)).toEqual({ status: 200, body: { name: 'new year' } })
    await until('it to come back', async () => {
      const [schedule] = await app.cluster.schedules.list()
      return schedule?.paused === null ? true : null
    })
  })

  it('refuse what they cannot do, with a code for each reason', async () => {
    const { call } = await served()
    const cases = [
      ['GET', '/nobody', undefined, 404, 'RAFT_SCHEDULE_UNKNOWN'],
      ['GET', '/nobody/history', undefined, 404, 'RAFT_SCHEDULE_UNKNOWN'],
      ['GET', '/nobody/preview', undefined, 404, 'RAFT_SCHEDULE_UNKNOWN'],
      ['POST', '/nobody/run', {}, 404, 'RAFT_SCHEDULE_UNKNOWN'],
      ['POST', '/nobody/pause', {}, 404, 'RAFT_SCHEDULE_UNKNOWN'],
      ['POST', '/nobody/resume', {}, 404, 'RAFT_SCHEDULE_UNKNOWN'],
      ['DELETE', '/nobody', undefined, 404, 'RAFT_SCHEDULE_UNKNOWN'],
      ['GET', `${path}/preview?count=0`, undefined, 400, 'RAFT_INVALID_REQUEST'],
      ['POST', `${path}/pause`, { reason: 'x'.repeat(201) }, 400, 'RAFT_INVALID_REQUEST'],
      ['POST', `${path}/run`, { now: true }, 400, 'RAFT_INVALID_REQUEST'],
      ['POST', `${path}/backfill`, { from: '2020-01-01' }, 400, 'RAFT_INVALID_REQUEST'],
      ['POST', `${path}/backfill`, { from: '2020-01-01', to: '2021-01-01' }, 400, 'RAFT_INVALID_REQUEST'],
      ['POST', `${path}/backfill`, { from: '1970-01-01T00:00Z', to: '9000-01-01T00:00Z' }, 400, 'RAFT_INVALID_REQUEST']
    ] as const
    for (const [method, at, body, status, code] of cases) {
      expect(await call(method, at, body), `${method} ${at}`).toMatchObject({ status, body: { code } })
    }
  })
})
