import { once } from 'node:events'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { pollUntil } from '../../src/cli/local/polling.ts'
import { freePorts } from '../../src/cli/local/ports.ts'
import { isGone, send } from './support/requests.ts'
import { type RunningCli, startCli } from './support/run-cli.ts'
import { startCluster } from './support/start-cluster.ts'

let directory: string

beforeEach(async () => { directory = await mkdtemp(join(tmpdir(), 'fastify-raft-local-')) })
afterEach(async () => { await rm(directory, { recursive: true, force: true }) })

const urlPattern = /http:\/\/127\.0\.0\.1:\d+/g

async function startLocal (): Promise<RunningCli & { readonly urls: readonly string[] }> {
  const [port = 0, gatewayPort = 0] = await freePorts(2)
  // Its own temporary directory, so that files left behind are noticed.
  const local = startCli(['local', '--first-port', String(port), '--gateway-port', String(gatewayPort)], {
    environment: { TMPDIR: directory },
    timeoutMs: 60_000
  })
  const output = await local.printed('Ctrl-C stops everything.')
  return { ...local, urls: [...new Set(output.match(urlPattern))] }
}

describe('fastify-raft local', () => {
  it('runs three nodes and a gateway until it is told to stop, and leaves nothing behind', async () => {
    const local = await startLocal()
    expect(local.urls).toHaveLength(4)
    expect(local.output()).toMatch(/n\d +http:\S+ +leader/)
    const [first, second, third, gateway] = local.urls
    expect((await send('POST', `${gateway}/orders`, { id: 'o1', item: 'tea' })).status).toBe(201)
    for (const url of [first, second, third]) expect((await send('GET', `${url}/orders/o1`)).status).toBe(200)
    local.signal('SIGINT')
    expect(await local.ended).toMatchObject({ code: 0, errors: '' })
    for (const url of local.urls) expect(await isGone(url)).toBe(true)
    expect(await readdir(directory)).toEqual([])
  })

  it('names the next leader and starts a killed node again', async () => {
    const local = await startLocal()
    const [, leader, pid] = /(n\d) +http:\S+ +leader, process (\d+)/.exec(local.output()) ?? []
    process.kill(Number(pid), 'SIGKILL')
    await local.printed(`${leader} ended (SIGKILL); it starts again in 3 s`)
    await local.printed(`${leader} is back: ready`)
    expect(local.output()).toMatch(/^n\d leads$/m)
    local.signal('SIGTERM')
    expect(await local.ended).toMatchObject({ code: 0, errors: '' })
  })

  it('names the process that could not start, and the reason', async () => {
    const ports = await freePorts(4)
    const other = createServer((socket) => { socket.destroy() }).listen(ports[1], '127.0.0.1')
    await once(other, 'listening')
    try {
      await expect(startCluster({ ports })).rejects.toThrow(
        `n2 ended while it was starting:\nfastify-raft: Port ${ports[1]} on 127.0.0.1 is in use.`
      )
      for (const port of [ports[0], ports[2], ports[3]]) expect(await isGone(`http://127.0.0.1:${port}`)).toBe(true)
    } finally {
      other.close()
      await once(other, 'close')
    }
  })

  it('ends its processes when it is killed itself', async () => {
    const local = await startLocal()
    local.signal('SIGKILL')
    await local.ended
    await pollUntil('the nodes and the gateway to end', 10_000, async () =>
      (await Promise.all(local.urls.map(isGone))).every(Boolean) ? true : null
    )
  })
})
