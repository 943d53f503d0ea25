import type { FastifyInstance } from 'fastify'
import Fastify from 'fastify'
import { describe, expect, it, onTestFinished } from 'vitest'
import { cluster } from '../../../src/plugin/index.ts'
import { until } from '../../support/until.ts'

/** A lone node, and what its routes answer. */
async function served () {
  const app = Fastify()
  onTestFinished(async () => { await app.close() })
  await app.register(cluster)
  const get = async (path: string) => {
    const response = await app.inject(`/_cluster/v1/${path}`)
    return { status: response.statusCode, body: response.json<Record<string, unknown>>() }
  }
  return { app, get }
}

function untilEnd (signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => { signal.addEventListener('abort', () => { resolve() }) })
}

async function running (app: FastifyInstance): Promise<void> {
  const states = (): readonly string[] => app.cluster.status.tasks.flatMap((task) => task.states)
  await until('all of them to run', () => states().every((state) => state === 'running') ? true : null)
}

describe('v1/tasks', () => {
  it('lists singletons and workers with where they are, page by page', async () => {
    const { app, get } = await served()
    const names = ['a leader', 'spread']
    app.cluster.singleton('a leader', untilEnd)
    app.cluster.singleton('spread', untilEnd, { placement: 'spread' })
    app.cluster.workers('workers', 11, untilEnd)
    await app.ready()
    await running(app)
    const { status, body } = await get('tasks')
    expect(status).toBe(200)
    const tasks = body['tasks'] as ReadonlyArray<Record<string, unknown>>
    expect(tasks.map(({ name, worker }) => `${String(name)} ${String(worker)}`)).toEqual(
      [...names.map((name) => `${name} 0`), ...Array.from({ length: 11 }, (_, worker) => `workers ${worker}`)]
    )
    const token = expect.stringMatching(/^\d+$/) as string
    const since = expect.stringMatching(/^\d{4}-.*Z$/) as string
    const here = { worker: 0, node: 'n1', state: 'running', since, token }
    expect(tasks[0]).toEqual({ name: 'a leader', kind: 'singleton', placement: 'leader', ...here })
    expect(tasks[1]).toEqual({ name: 'spread', kind: 'singleton', placement: 'spread', ...here })
    expect(tasks[12]).toEqual({ name: 'workers', kind: 'worker', placement: 'spread', ...here, worker: 10 })
    expect(body['next']).toBeNull()

    const first = await get('tasks?limit=5')
    const second = await get(`tasks?limit=100&after=${encodeURIComponent(String(first.body['next']))}`)
    expect([...first.body['tasks'] as object[], ...second.body['tasks'] as object[]]).toEqual(tasks)
  })

  it('shows one that has returned as waiting in its place', async () => {
    const { app, get } = await served()
    app.cluster.singleton('short', async () => {}, { placement: 'spread' })
    await app.ready()
    await until('its end', () => app.cluster.status.tasks[0]?.states[0] === 'finished' ? true : null)
    const waiting = { kind: 'singleton', placement: 'spread', worker: 0, node: 'n1', since: null, token: null }
    await until('the word of it', async () =>
      ((await get('tasks')).body['tasks'] as Array<{ readonly state: string }>)[0]?.state === 'waiting' ? true : null)
    expect((await get('tasks')).body['tasks']).toEqual([{ name: 'short', state: 'waiting', ...waiting }])
  })

  it('stands in the status of the node, for those that it has registered', async () => {
    const { app, get } = await served()
    app.cluster.singleton('s', untilEnd)
    app.cluster.workers('w', 2, untilEnd)
    await app.ready()
    await running(app)
    expect((await get('status')).body['tasks']).toEqual([
      { name: 's', placement: 'leader', states: ['running'] },
      { name: 'w', placement: 'spread', states: ['running', 'running'] }
    ])
  })
})

describe('v1/once', () => {
  it('lists work with its state and node, and has what came of one', async () => {
    const { app, get } = await served()
    const long = 'ü '.repeat(100)
    await app.ready()
    await app.cluster.once('seed', 1, () => ({ rows: 2 }))
    await app.cluster.once(long, '1/2', () => {})
    await expect(app.cluster.once('broken', 'v2', () => { throw new Error('no table') })).rejects.toThrow('no table')
    const { body } = await get('once')
    expect(body).toMatchObject({
      once: [
        { name: 'broken', version: 'v2', state: 'open', attempt: 1, previous: 'failed' },
        { name: 'seed', version: '1', state: 'done', node: 'n1', attempt: 1, previous: null },
        { name: long, version: '1/2', state: 'done' }
      ],
      next: null
    })
    for (const work of body['once'] as object[]) expect(work).not.toHaveProperty('result')
    const page = await get('once?limit=2')
    expect(page.body['once']).toHaveLength(2)
    expect((await get(`once?after=${encodeURIComponent(String(page.body['next']))}`)).body['once']).toHaveLength(1)
    expect((await get('once-result?name=seed&version=1')).body).toMatchObject({ state: 'done', result: { rows: 2 }, error: null })
    expect((await get(`once-result?name=${encodeURIComponent(long)}&version=1%2F2`)).body).toMatchObject({ state: 'done', result: null })
    expect((await get('once-result?name=broken&version=v2')).body).toMatchObject({ state: 'open', result: null, error: 'no table' })
  })

  it.each([
    ['once-result?name=nobody&version=1', 404, 'RAFT_ONCE_UNKNOWN'],
    ['once-result?name=seed&version=2', 404, 'RAFT_ONCE_UNKNOWN'],
    [`once-result?name=seed&version=${'x'.repeat(101)}`, 400, 'RAFT_INVALID_REQUEST'],
    ['once?limit=0', 400, 'RAFT_INVALID_REQUEST'],
    ['tasks?limit=1001', 400, 'RAFT_INVALID_REQUEST'],
    ['tasks?name=x', 400, 'RAFT_INVALID_REQUEST']
  ])('answers %s with %i %s', async (path, status, code) => {
    const { app, get } = await served()
    await app.ready()
    expect(await get(path)).toMatchObject({ status, body: { code } })
  })
})
