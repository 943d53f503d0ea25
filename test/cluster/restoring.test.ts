import type { ChildProcess } from 'node:child_process'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, it, onTestFinished } from 'vitest'
import { freePorts } from '../../src/cli/local/ports.ts'
import { until } from '../support/until.ts'
import { send } from './support/requests.ts'

const plugin = fileURLToPath(new URL('../../dist/src/plugin/index.js', import.meta.url))

/** Far longer than Fastify gives to a plugin or a hook of this application. */
const restoreMs = 8_000

/** An application whose state takes as long to restore as it is told. */
const application = `
  const { default: Fastify } = await import('fastify')
  const { cluster } = await import(process.env.PLUGIN)
  const { options, port, restoreMs } = JSON.parse(process.env.APPLICATION)
  const app = Fastify({ pluginTimeout: 2_000 })
  await app.register(cluster, options)
  const counter = app.cluster.machine('counter', {
    version: 1,
    initial: () => 0,
    apply: (total, add) => ({ state: total + add, answer: total + add }),
    snapshot: (total) => [total],
    restore: async (values) => {
      await new Promise((resolve) => { setTimeout(resolve, restoreMs) })
      let restored = 0
      for await (const value of values) restored += value
      return restored
    }
  })
  app.post('/add', { forward: true }, async () => ({ total: await counter.propose(1) }))
  app.get('/total', async () => ({ total: await counter.read((total) => total, { read: 'local', timeoutMs: 50 }) }))
  await app.listen({ port, host: '127.0.0.1' })
`

interface Copy {
  readonly id: string
  readonly url: string
  readonly start: (restoreMs: number) => ChildProcess
}

async function copies (): Promise<Copy[]> {
  const base = await mkdtemp(join(tmpdir(), 'fastify-raft-restoring-'))
  const running = new Set<ChildProcess>()
  onTestFinished(async () => {
    for (const child of running) await kill(child)
    await rm(base, { recursive: true, force: true })
  })
  const ports = await freePorts(3)
  const members = ports.map((port, index) => ({ id: `n${index + 1}`, url: `http://127.0.0.1:${port}` }))
  return members.map(({ id, url }, index) => ({
    id,
    url,
    start: (delayMs) => {
      const options = { id, members, dataDir: join(base, id) }
      const child = spawn(process.execPath, ['--input-type=module', '-e', application], {
        cwd: fileURLToPath(new URL('../..', import.meta.url)),
        env: {
          ...process.env,
          PLUGIN: plugin,
          APPLICATION: JSON.stringify({ options, port: ports[index], restoreMs: delayMs })
        },
        stdio: ['ignore', 'ignore', 'inherit']
      })
      running.add(child)
      return child
    }
  }))
}

async function kill (child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exited = once(child, 'exit')
  child.kill('SIGKILL')
  await exited
}

async function ask (method: string, url: string): Promise<{ readonly status: number, readonly body: unknown }> {
  const { status, text } = await send(method, url)
  return { status, body: JSON.parse(text) as unknown }
}

async function isReady ({ url }: Copy): Promise<boolean> {
  return (await send('GET', `${url}/_cluster/v1/readyz`)).status === 200
}

it('a process whose state takes longer than pluginTimeout to restore starts, serves, and gets ready in the end', async () => {
  const nodes = await copies()
  const children = nodes.map((node) => node.start(0))
  await until('all are ready', async () => (await Promise.all(nodes.map(isReady))).every(Boolean), 30_000)
  const [slow] = nodes
  const [child] = children
  if (slow === undefined || child === undefined) throw new Error('no copy')
  for (let added = 0; added < 5; added++) expect((await send('POST', `${slow.url}/add`)).status).toBe(200)
  expect((await send('POST', `${slow.url}/_cluster/v1/snapshot`)).status).toBe(200)
  await kill(child)
  const again = slow.start(restoreMs)
  const startedMs = performance.now()
  await until('it listens', async () => (await send('GET', `${slow.url}/_cluster/v1/livez`)).status === 200)
  const early = await ask('GET', `${slow.url}/_cluster/v1/readyz?verbose`)
  expect(early).toMatchObject({
    status: 503,
    body: { checks: { state: { ok: false, detail: expect.stringMatching(/^restoring, \d+ %/) as string } } }
  })
  expect(await ask('GET', `${slow.url}/total`)).toMatchObject({ status: 503, body: { code: 'RAFT_RESTORING' } })
  // It serves what needs no state of its own.
  const forwarded = await until('a leader', async () => {
    const answer = await ask('POST', `${slow.url}/add`)
    return answer.status === 200 ? answer : null
  })
  expect(forwarded.body).toEqual({ total: 6 })
  await until('it is ready', () => isReady(slow), 60_000)
  expect(performance.now() - startedMs).toBeGreaterThan(restoreMs)
  expect(again.exitCode).toBeNull()
  expect((await ask('GET', `${slow.url}/total`)).body).toEqual({ total: 6 })
}, 120_000)
