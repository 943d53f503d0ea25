import type { ChildProcess } from 'node:child_process'
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { openSync } from 'node:fs'
import { mkdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { pollUntil } from '../src/cli/local/polling.ts'
import { freePorts } from '../src/cli/local/ports.ts'

const startTimeoutMs = 20_000
const stopGraceMs = 5_000

/** The version of the etcd on the path, or null when there is none. */
export async function etcdVersion (): Promise<string | null> {
  try {
    const { stdout } = await promisify(execFile)('etcd', ['--version'])
    return /etcd Version: (\S+)/.exec(stdout)?.[1] ?? 'unknown'
  } catch {
    return null
  }
}

interface EtcdMember {
  readonly url: string
  readonly child: ChildProcess
}

/** Three etcd processes with their defaults, on free loopback ports and data directories below `directory`. */
export class EtcdCluster {
  readonly #members: readonly EtcdMember[]

  private constructor (members: readonly EtcdMember[]) {
    this.#members = members
    process.on('exit', () => { for (const { child } of members) child.kill('SIGKILL') })
  }

  /** Resolves when a leader is known. Rejects when none is elected in time, and leaves nothing running. */
  static async start (directory: string): Promise<EtcdCluster> {
    await mkdir(directory)
    const ports = await freePorts(6)
    const places = [0, 1, 2].map((at) => ({
      name: `e${at + 1}`,
      client: `http://127.0.0.1:${ports[at]}`,
      peer: `http://127.0.0.1:${ports[at + 3]}`
    }))
    const cluster = new EtcdCluster(places.map(({ name, client, peer }) => {
      const log = openSync(join(directory, `${name}.log`), 'a')
      const child = spawn('etcd', [
        '--name', name,
        '--data-dir', join(directory, name),
        '--listen-client-urls', client,
        '--advertise-client-urls', client,
        '--listen-peer-urls', peer,
        '--initial-advertise-peer-urls', peer,
        '--initial-cluster', places.map((place) => `${place.name}=${place.peer}`).join(','),
        '--initial-cluster-state', 'new'
      ], { stdio: ['ignore', log, log] })
      return { url: client, child }
    }))
    try {
      await cluster.leaderUrl()
      return cluster
    } catch (cause) {
      await cluster.stop()
      throw new Error(`etcd did not start: ${(await readFile(join(directory, 'e1.log'), 'utf8')).slice(-2_000)}`, {
        cause
      })
    }
  }

  get pids (): readonly number[] { return this.#members.map(({ child }) => child.pid ?? 0) }
  get urls (): readonly string[] { return this.#members.map(({ url }) => url) }

  /** Where the leader listens for clients. Waits for one. */
  async leaderUrl (): Promise<string> {
    return await pollUntil('a leader of etcd', startTimeoutMs, async () => {
      for (const { url } of this.#members) if (await leads(url)) return url
      return null
    })
  }

  async stop (): Promise<void> {
    await Promise.all(this.#members.map(async ({ child }) => {
      if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return
      const exited = once(child, 'exit')
      const timer = setTimeout(() => { child.kill('SIGKILL') }, stopGraceMs)
      child.kill('SIGTERM')
      await exited
      clearTimeout(timer)
    }))
  }
}

async function leads (url: string): Promise<boolean> {
  try {
    const response = await fetch(`${url}/v3/maintenance/status`, { method: 'POST', body: '{}' })
    const { leader, header } = (await response.json()) as {
      readonly leader?: string
      readonly header?: { readonly member_id?: string }
    }
    return leader !== undefined && leader !== '0' && leader === header?.member_id
  } catch {
    return false
  }
}
