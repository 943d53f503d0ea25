import type { ChildProcess } from 'node:child_process'
import { execFile, fork, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { Pool } from 'undici'
import { pollUntil } from '../src/cli/local/polling.ts'
import { freePorts } from '../src/cli/local/ports.ts'
import { EtcdCluster } from './etcd-cluster.ts'
import type { LockLoad, LockScale, LockServerRole } from './lock-server.ts'

/** Something that locks are taken from: each client its own, one after the other. */
export interface LockContender {
  readonly name: string
  readonly load: (clients: number, milliseconds: number) => Promise<LockLoad>
  readonly stop: () => Promise<void>
}

/** Three copies of an application with the plugin, each with its log on disk. */
export class LockServers {
  readonly #children: readonly ChildProcess[]
  readonly #urls: readonly string[]

  private constructor (children: readonly ChildProcess[], urls: readonly string[]) {
    this.#children = children
    this.#urls = urls
  }

  static async start (directory: string): Promise<LockServers> {
    await mkdir(directory)
    const ports = await freePorts(3)
    const members = ports.map((port, at) => ({ id: `n${at + 1}`, url: `http://127.0.0.1:${port}` }))
    const program = fileURLToPath(new URL('lock-server.js', import.meta.url))
    const children = members.map(({ id }, at) => {
      const role: LockServerRole = { id, members, port: ports[at] ?? 0, dataDir: join(directory, id) }
      return fork(program, [JSON.stringify(role)], { execArgv: ['--expose-gc'] })
    })
    await Promise.all(children.map(async (child) => { await once(child, 'message') }))
    return new LockServers(children, members.map(({ url }) => url))
  }

  async leaderUrl (): Promise<string> {
    return await pollUntil('a leader', 20_000, async () => {
      for (const url of this.#urls) {
        const { isLeader } = (await (await fetch(`${url}/_cluster/v1/status`)).json()) as { readonly isLeader: boolean }
        if (isLeader) return url
      }
      return null
    })
  }

  /** Locks of the process that leads. */
  readonly inProcess: LockContender = {
    name: 'fastify-raft in process',
    load: async (clients, milliseconds) =>
      (await post(await this.leaderUrl(), '/load', { clients, milliseconds })) as LockLoad,
    stop: async () => {}
  }

  /** Locks over HTTP, of the node that leads. */
  readonly overHttp: LockContender = {
    name: 'fastify-raft over HTTP',
    load: async (clients, ms) => await loadOver(await this.leaderUrl(), clients, ms, async (call, at) => {
      const path = `/_cluster/v1/locks/http-${at}`
      const { token } = await call(`${path}/acquire`, { owner: 'bench', ttlMs: 60_000 })
      await call(`${path}/release`, { token })
    }),
    stop: async () => { await this.stop() }
  }

  async scale (locks: number, waiters: number): Promise<LockScale> {
    return (await post(await this.leaderUrl(), '/scale', { locks, waiters })) as LockScale
  }

  async stop (): Promise<void> {
    await Promise.all(this.#children.map(async (child) => {
      if (child.exitCode !== null) return
      child.kill('SIGTERM')
      await once(child, 'exit')
    }))
  }
}

/** Locks of etcd with one lease a client, over its JSON gateway. */
export async function startEtcdLocks (directory: string): Promise<LockContender> {
  const cluster = await EtcdCluster.start(directory)
  return {
    name: 'etcd',
    load: async (clients, milliseconds) => {
      const url = await cluster.leaderUrl()
      const leases = await Promise.all(Array.from({ length: clients }, async () =>
        ((await post(url, '/v3/lease/grant', { TTL: 600 })) as { readonly ID: string }).ID))
      return await loadOver(url, clients, milliseconds, async (call, at) => {
        const name = Buffer.from(`bench-${at}`).toString('base64')
        const { key } = await call('/v3/lock/lock', { name, lease: leases[at] })
        await call('/v3/lock/unlock', { key })
      })
    },
    stop: async () => { await cluster.stop() }
  }
}

/** What is used of redlock, and of the client that it takes. */
interface RedlockModule {
  readonly default: new (clients: readonly unknown[], settings: { readonly retryCount: number }) => {
    readonly acquire: (names: readonly string[], ttlMs: number) => Promise<{ readonly release: () => Promise<unknown> }>
  }
}
interface RedisClient { readonly quit: () => Promise<unknown> }
interface RedisModule { readonly default: new (port: number) => RedisClient }

/** Redlock on one redis in memory; null without a `redis-server` on the path. */
export async function startRedlock (directory: string): Promise<LockContender | null> {
  try {
    await promisify(execFile)('redis-server', ['--version'])
  } catch {
    return null
  }
  const require = createRequire(import.meta.url)
  const { default: Redlock } = require('redlock') as RedlockModule
  const { default: Redis } = require('ioredis') as RedisModule
  await mkdir(directory)
  const [port = 0] = await freePorts(1)
  const server = spawn('redis-server', ['--port', String(port), '--save', '', '--dir', directory], { stdio: 'ignore' })
  process.on('exit', () => { server.kill('SIGKILL') })
  const client = new Redis(port)
  const redlock = new Redlock([client], { retryCount: 0 })
  return {
    name: 'redlock',
    load: async (clients, milliseconds) => await repeat(clients, milliseconds, async (at) => {
      const lock = await redlock.acquire([`bench-${at}`], 60_000)
      await lock.release()
    }),
    stop: async () => {
      await client.quit()
      server.kill('SIGTERM')
      await once(server, 'exit')
    }
  }
}

type Call = (path: string, body: object) => Promise<Readonly<Record<string, string>>>

async function loadOver (
  url: string,
  clients: number,
  milliseconds: number,
  once: (call: Call, at: number) => Promise<void>
): Promise<LockLoad> {
  const pool = new Pool(url, { connections: clients })
  const call: Call = async (path, body) => {
    const { statusCode, body: answer } = await pool.request({
      path,
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body)
    })
    const text = await answer.text()
    if (statusCode !== 200) throw new Error(`${path} was refused: ${text}`)
    return JSON.parse(text) as Readonly<Record<string, string>>
  }
  try {
    return await repeat(clients, milliseconds, async (at) => { await once(call, at) })
  } finally {
    await pool.close()
  }
}

async function repeat (clients: number, milliseconds: number, work: (at: number) => Promise<void>): Promise<LockLoad> {
  const latenciesMs: number[] = []
  const startMs = performance.now()
  await Promise.all(Array.from({ length: clients }, async (_, at) => {
    for (let fromMs = performance.now(); fromMs < startMs + milliseconds; fromMs = performance.now()) {
      await work(at)
      latenciesMs.push(performance.now() - fromMs)
    }
  }))
  return { elapsedMs: performance.now() - startMs, latenciesMs }
}

async function post (url: string, path: string, body: object): Promise<unknown> {
  const response = await fetch(`${url}${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body)
  })
  if (!response.ok) throw new Error(`${path} was refused: ${await response.text()}`)
  return await response.json()
}
