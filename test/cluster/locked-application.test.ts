import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Child } from '../../src/cli/local/child.ts'
import { getJson, pollUntil } from '../../src/cli/local/polling.ts'
import { freePorts } from '../../src/cli/local/ports.ts'
import { send } from './support/requests.ts'
import { program } from './support/start-cluster.ts'

/** A copy of an application that asks everybody for a token, and that nobody may ask more than 20 times a minute. */
const application = `
  import bearerAuth from '@fastify/bearer-auth'
  import rateLimit from '@fastify/rate-limit'
  import Fastify from 'fastify'
  import cluster from 'fastify-raft'
  const { options, port } = JSON.parse(process.argv[1])
  const app = Fastify({ logger: true })
  await app.register(rateLimit, { max: 20, allowList: (request) => request.url.startsWith('/orders') })
  await app.register(bearerAuth, { keys: new Set(['secret']) })
  await app.register(cluster, options)
  app.post('/orders', { forward: true }, async () => ({ by: app.cluster.nodeId }))
  process.on('SIGTERM', () => { app.close().then(() => { process.exit() }) })
  await app.listen({ port, host: '127.0.0.1' })
`

let directory: string
let members: ReadonlyArray<{ readonly id: string, readonly url: string }>
let gatewayUrl: string
let joinerUrl: string
const children = new Map<string, Child>()

function startCopy (id: string, url: string, options: object): void {
  const config = { options: { id, dataDir: join(directory, id), ...options }, port: Number(new URL(url).port) }
  start(id, ['--input-type=module', '-e', application, JSON.stringify(config)])
}

function start (name: string, args: readonly string[]): void {
  const child = new Child({ name, args, logFile: join(directory, `${name}.log`) })
  children.set(name, child)
  child.start()
}

/** An order through the gateway by somebody with the token. */
async function order (): Promise<{ readonly status: number, readonly by: string | undefined }> {
  const answer = await fetch(`${gatewayUrl}/orders`, {
    method: 'POST',
    headers: { authorization: 'Bearer secret' },
    signal: AbortSignal.timeout(15_000)
  })
  const { by } = await answer.json() as { readonly by?: string }
  return { status: answer.status, by }
}

async function leaderOfGateway (): Promise<string | null> {
  const status = await getJson<{ readonly leader: { readonly id: string } | null }>(`${gatewayUrl}/_gateway/status`, 1_000)
  return status?.leader?.id ?? null
}

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'fastify-raft-locked-'))
  const [gatewayPort = 0, joinerPort = 0, ...ports] = await freePorts(5)
  members = ports.map((port, index) => ({ id: `n${index + 1}`, url: `http://127.0.0.1:${port}` }))
  gatewayUrl = `http://127.0.0.1:${gatewayPort}`
  joinerUrl = `http://127.0.0.1:${joinerPort}`
  for (const { id, url } of members) startCopy(id, url, { members })
  // The gateway is told of the one that joins, which may lead in the end.
  const nodes = members.map(({ url }) => url).join()
  start('gateway', [program, 'gateway', '--nodes', nodes, '--listen', `127.0.0.1:${gatewayPort}`, '--admin-on-traffic'])
})
afterAll(async () => {
  await Promise.all([...children.values()].map(async (child) => { await child.stop(5_000) }))
  await rm(directory, { recursive: true, force: true })
})

describe('an application that asks for a token and limits how often it is asked', () => {
  it('elects a leader, and a gateway always finds one', async () => {
    await pollUntil('the gateway to know a leader', 20_000, leaderOfGateway)
    // Several times as many questions as a minute allows: ten a second, for each node.
    const endsAtMs = performance.now() + 8_000
    while (performance.now() < endsAtMs) {
      expect((await order()).status).toBe(200)
      await new Promise((resolve) => { setTimeout(resolve, 400) })
    }
    expect((await send('POST', `${gatewayUrl}/orders`)).status).toBe(401)
  })

  it('keeps its data behind its hooks', async () => {
    for (const { url } of members) expect((await send('GET', `${url}/_cluster/v1/kv`)).status).toBe(401)
  })

  it('takes in a node that joins', async () => {
    const url = joinerUrl
    startCopy('n4', url, { url, join: members.map((member) => member.url) })
    await pollUntil('n4 to be ready', 20_000, async () => await getJson(`${url}/_cluster/v1/readyz`, 1_000))
    const { members: known } = await getJson<{ readonly members: object[] }>(`${url}/_cluster/v1/members`, 5_000) ??
      { members: [] }
    expect(known).toContainEqual(expect.objectContaining({ id: 'n4', url, role: 'voter' }))
  })

  it('has its gateway find the next leader', async () => {
    const leader = await pollUntil('the gateway to know a leader', 20_000, leaderOfGateway)
    await children.get(leader)?.kill('SIGKILL')
    const next = await pollUntil('an order under the next leader', 20_000, async () => {
      const answer = await order()
      return answer.status === 200 ? answer.by : null
    })
    expect(next).not.toBe(leader)
  })
})
