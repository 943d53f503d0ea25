import { randomBytes } from 'node:crypto'
import { readFile, writeFile } from 'node:fs/promises'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { LocalCluster, LocalNode } from '../../src/cli/local/local-cluster.ts'
import { getJson, pollUntil } from '../../src/cli/local/polling.ts'
import { makeSecret } from '../../src/raft/trust/secret.ts'
import { HostileClients } from './support/hostile-clients.ts'
import { putOnce } from './support/kv-client.ts'
import { PacedWriter } from './support/paced-writer.ts'
import { startCluster } from './support/start-cluster.ts'

const load = { rate: 200, valueBytes: 100 }
/** Long enough for several elections, and short enough for a test. */
const attackMs = 3_000
/** A peer's body of the size that a stranger would like a node to keep. */
const largeBytes = 8_000_000

interface Leadership { readonly leader: string, readonly term: number }

let directory: string
let cluster: LocalCluster
let quietPerSecond: number

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'fastify-raft-hostile-'))
  const secretFile = join(directory, 'secret')
  await writeFile(secretFile, makeSecret(), { mode: 0o600 })
  cluster = await startCluster({ gateway: false, nodeArguments: ['--secret-file', secretFile] })
  quietPerSecond = (await writesDuring(async () => { await sleep(attackMs) })).perSecond
}, 60_000)

afterAll(async () => {
  await cluster.stop()
  await rm(directory, { recursive: true, force: true })
})

async function leadership (): Promise<Leadership> {
  return await pollUntil('a leader', 10_000, async () => {
    const url = `${cluster.nodes[0]?.url}/_cluster/v1/leader`
    const known = await getJson<{ readonly id: string, readonly term: number }>(url, 2_000)
    return known === null ? null : { leader: known.id, term: known.term }
  })
}

function nodeOf (id: string): LocalNode {
  const node = cluster.nodes.find((candidate) => candidate.id === id)
  if (node === undefined) throw new Error(`no node ${id}`)
  return node
}

/** Writes through a node that is not attacked itself: its writes need the one that is. */
async function writesDuring (work: () => Promise<void>): Promise<Awaited<ReturnType<PacedWriter['stop']>>> {
  const { leader } = await leadership()
  const other = cluster.nodes.find(({ id }) => id !== leader)
  const writer = new PacedWriter(other?.url ?? '', load)
  await work()
  return await writer.stop()
}

/** Memory of a process in MiB; null where the system does not say. */
async function memoryMiB ({ child }: LocalNode): Promise<number | null> {
  const status = await readFile(`/proc/${child.pid}/status`, 'utf8').catch(() => '')
  const found = /^VmRSS:\s+(\d+) kB$/m.exec(status)
  return found === null ? null : Math.round(Number(found[1]) / 1_024)
}

/** More than this an attack must not take of a node, in MiB. */
const mostTakenMiB = 160

/** Memory of a process under attack, once it takes little: what is garbage goes within seconds. Else as it is then. */
async function settledMiB (node: LocalNode, beforeMiB: number | null): Promise<number | null> {
  let memory = await memoryMiB(node)
  for (let looks = 0; looks < 20 && (memory ?? 0) - (beforeMiB ?? 0) >= mostTakenMiB; looks++) {
    await sleep(250)
    memory = await memoryMiB(node)
  }
  return memory
}

/** Attacks the leader, and checks that it stays the leader and that writes go on. */
async function survives (what: string, attack: (clients: HostileClients) => void): Promise<HostileClients> {
  const before = await leadership()
  const target = nodeOf(before.leader)
  const memoryBefore = await memoryMiB(target)
  const clients = new HostileClients(target.url)
  let memory: number | null = null
  let open = 0
  const writes = await writesDuring(async () => {
    attack(clients)
    await sleep(attackMs)
    memory = await settledMiB(target, memoryBefore)
    open = clients.open
    clients.stop()
  })
  const share = writes.perSecond / quietPerSecond
  const answers = Object.fromEntries(clients.answers)
  const figures = { ...writes, share: Math.round(share * 100) / 100, answers, open, memoryBefore, memory }
  process.stdout.write(`${what}: ${JSON.stringify(figures)}\n`)
  expect(await leadership()).toEqual(before)
  expect(writes.failed).toBe(0)
  expect(share).toBeGreaterThan(0.8)
  if (memory !== null && memoryBefore !== null) expect(memory - memoryBefore).toBeLessThan(mostTakenMiB)
  return clients
}

function post (path: string, ...fields: readonly string[]): string {
  return head('POST', `/raft/${path}`, 'content-type: application/octet-stream', ...fields)
}

function head (method: string, path: string, ...fields: readonly string[]): string {
  return [`${method} /_cluster${path} HTTP/1.1`, 'host: a', ...fields, '', ''].join('\r\n')
}

describe('a leader keeps its leadership, and good clients their writes, while strangers', () => {
  it('open a thousand connections whose header fields never end', async () => {
    await survives('slow header fields', (clients) => {
      clients.start({
        connections: 1_000,
        opening: 'GET /orders HTTP/1.1\r\nhost: a\r\n',
        trickle: { piece: 'x-more: 1\r\n', everyMs: 300 }
      })
    })
  })

  it('open a thousand connections with bodies that never come, on routes of peers', async () => {
    const clients = await survives('slow bodies of peers', (hostile) => {
      const trickle = { piece: 'x', everyMs: 300 }
      hostile.start({ connections: 500, opening: post('hello', 'content-length: 2048'), trickle })
      hostile.start({ connections: 500, opening: post('append', `content-length: ${largeBytes}`), trickle })
    })
    expect(clients.answers.get(401)).toBeGreaterThan(400)
  })

  it('open hundreds of connections with bodies that never come, on routes of clients', async () => {
    const clients = await survives('slow bodies of clients', (hostile) => {
      hostile.start({
        connections: 500,
        opening: head('PUT', '/v1/kv/slow', 'content-type: application/json', 'content-length: 1000000'),
        trickle: { piece: '1', everyMs: 300 }
      })
    })
    if (process.platform === 'linux') expect(clients.answers.get(503)).toBeGreaterThan(400)
  })

  it('ask for megabytes and do not read them', async () => {
    const [node] = cluster.nodes
    const value = randomBytes(400_000).toString('base64')
    for (let count = 0; count < 4; count++) await putOnce(node?.url ?? '', `unread-${count}`, value)
    await survives('unread answers', (hostile) => {
      hostile.start({
        connections: 200,
        opening: head('GET', '/v1/kv?prefix=unread&read=local'),
        isDeaf: true
      })
    })
  })

  it('flood the routes of peers with large bodies and no seal', async () => {
    const body = Buffer.alloc(65_536)
    const clients = await survives('flood without seals', (hostile) => {
      const opening = Buffer.concat([Buffer.from(post('append', `content-length: ${largeBytes}`)), body])
      hostile.start({ connections: 20, opening, isFlood: true })
    })
    expect(clients.answers.get(401)).toBeGreaterThan(100)
  })

  it('flood the handshake of peers with what is no hello', async () => {
    const clients = await survives('flood of hellos', (hostile) => {
      const body = randomBytes(200)
      hostile.start({
        connections: 20,
        opening: Buffer.concat([Buffer.from(post('hello', `content-length: ${body.byteLength}`)), body]),
        isFlood: true
      })
    })
    expect(clients.answers.get(400)).toBeGreaterThan(100)
  })
})
