import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it, onTestFinished } from 'vitest'
import { Child } from '../../src/cli/local/child.ts'
import { getJson, pollUntil } from '../../src/cli/local/polling.ts'
import { freePorts } from '../../src/cli/local/ports.ts'
import type { GatewayStatus } from '../../src/gateway/index.ts'
import type { ClusterOptions } from '../../src/plugin/index.ts'
import { DnsServer } from '../support/dns-server.ts'
import { send } from './support/requests.ts'
import { program } from './support/start-cluster.ts'

const notesApp = fileURLToPath(new URL('../../build/test/cluster/tools/notes-app.js', import.meta.url))
const timeoutMs = 30_000

/** Copies of the notes app, each on an address of its own and all on one port, as behind a name in the DNS. */
class Copies {
  readonly port: number
  readonly #directory: string
  readonly #children = new Map<string, Child>()

  constructor (directory: string, port: number) {
    this.#directory = directory
    this.port = port
  }

  address (id: string): string {
    return `127.0.0.${Number(id.slice(1)) + 1}`
  }

  url (id: string): string {
    return `http://${this.address(id)}:${this.port}`
  }

  start (id: string, options: ClusterOptions): void {
    const args = [
      notesApp, '--host', this.address(id), '--port', String(this.port), '--drain-ms', '300',
      '--options', JSON.stringify({ id, dataDir: join(this.#directory, id), ...options })
    ]
    const child = new Child({ name: id, args, logFile: join(this.#directory, `${id}.log`) })
    this.#children.set(id, child)
    child.start()
  }

  async end (id: string): Promise<number | null | undefined> {
    return (await this.#children.get(id)?.kill('SIGTERM'))?.code
  }

  async stop (): Promise<void> {
    await Promise.all([...this.#children.values()].map(async (child) => { await child.stop(6_000) }))
  }
}

describe('a gateway that finds its nodes by a name', () => {
  it('starts with none, finds them, follows members that come and go, and fails no request meanwhile', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'fastify-raft-gateway-'))
    const dns = await DnsServer.start()
    const [port = 0] = await freePorts(1, '127.0.0.2')
    const [gatewayPort = 0, adminPort = 0] = await freePorts(2)
    const copies = new Copies(directory, port)
    const logFile = join(directory, 'gateway.log')
    const gateway = new Child({
      name: 'gateway',
      args: [
        program, 'gateway', '--nodes', `dns+http://app.test:${port}`, '--dns-servers', dns.address,
        '--listen', `127.0.0.1:${gatewayPort}`, '--admin-port', String(adminPort), '--drain-ms', '300'
      ],
      logFile
    })
    onTestFinished(async () => {
      await gateway.stop(6_000)
      await copies.stop()
      await dns.stop()
      await rm(directory, { recursive: true, force: true })
    })
    const front = `http://127.0.0.1:${gatewayPort}`
    const admin = `http://127.0.0.1:${adminPort}`
    const nodes = async (): Promise<GatewayStatus['nodes']> =>
      (await getJson<GatewayStatus>(`${admin}/status`, timeoutMs))?.nodes ?? []
    const ready = async (): Promise<string> =>
      (await nodes()).filter((node) => node.ready).map(({ id, source }) => `${id} ${source}`).sort().join()
    const untilReady = async (expected: string): Promise<void> => {
      await pollUntil(`${expected} to be ready`, timeoutMs, async () => await ready() === expected ? true : null)
    }

    gateway.start()
    await pollUntil('the gateway', timeoutMs, async () => await getJson(`${admin}/livez`, timeoutMs))
    expect((await send('GET', `${admin}/readyz`)).status).toBe(503)
    const refused = await send('POST', `${front}/notes/none`, { text: 'x' })
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([503, '1'])

    const members = ['n1', 'n2', 'n3'].map((id) => ({ id, url: copies.url(id) }))
    for (const { id } of members) copies.start(id, { members })
    // One of them is enough.
    dns.addresses.set('app.test', [copies.address('n1')])
    await untilReady('n1 dns,n2 member,n3 member')
    expect((await send('GET', `${admin}/readyz`)).status).toBe(200)

    const over = new AbortController()
    const failures: unknown[] = []
    let written = 0
    const writing = Promise.all([1, 2, 3, 4].map(async (client) => {
      for (let number = 0; !over.signal.aborted; number++) {
        const answer = await send('POST', `${front}/notes/${client}-${number}`, { text: 'x' })
        if (answer.status === 200) written++
        else failures.push([answer.status, answer.text])
      }
    }))
    copies.start('n4', { url: copies.url('n4'), join: members.map(({ url }) => url), leaveOnClose: true })
    await untilReady('n1 dns,n2 member,n3 member,n4 member')
    // Another one stands behind the name, and the first one goes for good; it may lead.
    dns.addresses.set('app.test', [copies.address('n2')])
    await untilReady('n1 member,n2 dns,n3 member,n4 member')
    const leader = (await getJson<GatewayStatus>(`${admin}/status`, timeoutMs))?.leader?.id
    expect(await copies.end(leader ?? '')).toBe(0)
    await pollUntil('another leader', timeoutMs, async () => {
      const id = (await getJson<GatewayStatus>(`${admin}/status`, timeoutMs))?.leader?.id
      return id !== undefined && id !== leader ? true : null
    })
    if (leader !== 'n4') expect(await copies.end('n4')).toBe(0)
    await pollUntil('n4 to be followed no more', timeoutMs, async () =>
      (await nodes()).every(({ url }) => url !== copies.url('n4')) ? true : null)
    over.abort()
    await writing
    expect(failures).toEqual([])
    expect(written).toBeGreaterThan(20)

    const exit = await gateway.kill('SIGTERM')
    expect(exit).toEqual({ code: 0, signal: null })
    const lines = (await readFile(logFile, 'utf8')).split('\n').slice(0, -1).map((line) => JSON.parse(line) as { msg: string })
    const said = (text: string): number => lines.filter(({ msg }) => msg.includes(text)).length
    expect(said('no node can be reached')).toBe(1)
    expect(said('cannot be resolved')).toBe(1)
  })
})
