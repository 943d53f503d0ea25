import type { ChildProcess } from 'node:child_process'
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync } from 'node:fs'
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

/** One member, running or not. */
class EtcdMember {
  readonly url: string
  readonly #args: readonly string[]
  readonly #logFile: string
  #child: ChildProcess | null = null

  constructor (url: string, args: readonly string[], logFile: string) {
    this.url = url
    this.#args = args
    this.#logFile = logFile
  }

  get pid (): number { return this.#child?.pid ?? 0 }

  start (): void {
    const log = openSync(this.#logFile, 'a')
    try {
      this.#child = spawn('etcd', this.#args, { stdio: ['ignore', log, log] })
    } finally {
      closeSync(log)
    }
  }

  /** Ends it by a signal, by SIGKILL after a while, and resolves when it is gone. */
  async end (signal: NodeJS.Signals): Promise<void> {
    const child = this.#child
    this.#child = null
    if (child === null || child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return
    const exited = once(child, 'exit')
    const timer = setTimeout(() => { child.kill('SIGKILL') }, stopGraceMs)
    child.kill(signal)
    await exited
    clearTimeout(timer)
  }

  endAtOnce (): void { this.#child?.kill('SIGKILL') }
}

/** Three etcd processes with their defaults, on free loopback ports and data directories below `directory`. */
export class EtcdCluster {
  readonly #members: readonly EtcdMember[]

  private constructor (members: readonly EtcdMember[]) {
    this.#members = members
    process.on('exit', () => { for (const member of members) member.endAtOnce() })
    for (const member of members) member.start()
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
      const args = [
        '--name', name,
        '--data-dir', join(directory, name),
        '--listen-client-urls', client,
        '--advertise-client-urls', client,
        '--listen-peer-urls', peer,
        '--initial-advertise-peer-urls', peer,
        '--initial-cluster', places.map((place) => `${place.name}=${place.peer}`).join(','),
        '--initial-cluster-state', 'new'
      ]
      return new EtcdMember(client, args, join(directory, `${name}.log`))
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

  get pids (): readonly number[] { return this.#members.map(({ pid }) => pid) }
  get urls (): readonly string[] { return this.#members.map(({ url }) => url) }

  /** Where the leader listens for clients. Waits for one. */
  async leaderUrl (): Promise<string> {
    return await pollUntil('a leader of etcd', startTimeoutMs, async () => {
      for (const { url } of this.#members) if (await leads(url)) return url
      return null
    })
  }

  /** Kills the member that listens for clients at this URL, and resolves when its process is gone. */
  async kill (url: string): Promise<void> {
    await this.#memberAt(url).end('SIGKILL')
  }

  /** Starts a member again that was killed. */
  restart (url: string): void {
    this.#memberAt(url).start()
  }

  async stop (): Promise<void> {
    await Promise.all(this.#members.map(async (member) => { await member.end('SIGTERM') }))
  }

  #memberAt (url: string): EtcdMember {
    const member = this.#members.find((one) => one.url === url)
    if (member === undefined) throw new Error(`no etcd listens at ${url}`)
    return member
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
