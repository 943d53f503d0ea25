import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Child } from '../../../src/cli/local/child.ts'
import type { NodeStatus } from '../../../src/cli/local/local-cluster.ts'
import { getJson, pollUntil } from '../../../src/cli/local/polling.ts'
import { freePorts } from '../../../src/cli/local/ports.ts'
import { program } from './start-cluster.ts'
import type { WatchedCluster, WatchedNode } from './watched-cluster.ts'

interface RelocatedNode extends WatchedNode {
  readonly child: Child
}

/** Members as `GET v1/members` answers them. */
interface MembersAnswer {
  readonly members: ReadonlyArray<{ readonly id: string, readonly url: string }>
}

const timeoutMs = 60_000
const requestTimeoutMs = 2_000
const stopGraceMs = 6_000

/** Three real processes that are started again at other addresses, with their data. */
export class RelocatedCluster implements WatchedCluster {
  readonly directory: string
  #nodes: readonly RelocatedNode[]
  #starts = 0

  /** Starts the nodes and resolves when all are ready and know each other's logs. */
  static async start (): Promise<RelocatedCluster> {
    const directory = await mkdtemp(join(tmpdir(), 'fastify-raft-relocated-'))
    const cluster = new RelocatedCluster(directory)
    try {
      const urls = (await freePorts(3)).map((port) => `http://127.0.0.1:${port}`)
      const ports = Object.fromEntries(urls.map((url, at) => [`n${at + 1}`, url]))
      cluster.#nodes = Object.keys(ports).map((id) => cluster.#launch(id, ports, 'members'))
      await cluster.ready()
      return cluster
    } catch (error) {
      await cluster.stop()
      throw error
    }
  }

  private constructor (directory: string) {
    this.directory = directory
    this.#nodes = []
  }

  get nodes (): readonly RelocatedNode[] { return this.#nodes }

  get urls (): Readonly<Record<string, string>> {
    return Object.fromEntries(this.#nodes.map(({ id, url }) => [id, url]))
  }

  /**
   * Kills the nodes that have another URL here, and starts them there with options that name all URLs: as `members`, or
   * as `join` with the URLs of the others. The other nodes go on with their old options.
   */
  async relocate (urls: Readonly<Record<string, string>>, option: 'members' | 'join'): Promise<void> {
    const moving = this.#nodes.filter(({ id, url }) => urls[id] !== url)
    await Promise.all(moving.map(async ({ child }) => await child.kill('SIGKILL')))
    this.#nodes = this.#nodes.map((node) => moving.includes(node) ? this.#launch(node.id, urls, option) : node)
  }

  async status (id: string): Promise<NodeStatus | null> {
    return await getJson<NodeStatus>(`${this.urls[id]}/_cluster/v1/status`, requestTimeoutMs)
  }

  async waitForLeader (): Promise<RelocatedNode> {
    return await pollUntil('a leader that all follow', timeoutMs, async () => {
      const statuses = await Promise.all(this.#nodes.map(async ({ id }) => await this.status(id)))
      const leader = this.#nodes.find(({ id }) => statuses.every((status) => status?.leader?.id === id))
      return leader ?? null
    })
  }

  /** Resolves when all nodes are ready, and the log of each has the URLs and the incarnations of all. */
  async ready (): Promise<void> {
    for (const { id, url, child } of this.#nodes) {
      await pollUntil(`${id} to be ready`, timeoutMs, async () => {
        if (!child.running) throw new Error(`${id} ended while it was starting:\n${child.logTail()}`)
        return await getJson(`${url}/_cluster/v1/readyz`, requestTimeoutMs)
      })
      await pollUntil(`${id} to know all URLs`, timeoutMs, async () => {
        const answer = await getJson<MembersAnswer>(`${url}/_cluster/v1/members`, requestTimeoutMs)
        const known = answer?.members.filter((member) => 'incarnation' in member && member.url === this.urls[member.id])
        return known?.length === this.#nodes.length ? true : null
      })
    }
  }

  /** Stops everything and removes its data. */
  async stop (): Promise<void> {
    await Promise.all(this.#nodes.map(async ({ child }) => await child.stop(stopGraceMs)))
    await rm(this.directory, { recursive: true, force: true })
  }

  #launch (id: string, urls: Readonly<Record<string, string>>, option: 'members' | 'join'): RelocatedNode {
    const url = urls[id] ?? ''
    const others = Object.entries(urls).filter(([other]) => other !== id)
    const args = [
      program,
      'node',
      '--id',
      id,
      '--listen',
      new URL(url).host,
      '--data-dir',
      join(this.directory, id),
      ...(option === 'members'
        ? ['--members', Object.entries(urls).map(([member, at]) => `${member}=${at}`).join(',')]
        : ['--url', url, '--join', others.map(([, at]) => at).join(',')])
    ]
    const child = new Child({ name: id, args, logFile: join(this.directory, `${id}-${++this.#starts}.log`) })
    child.start()
    return { id, url, child }
  }
}
