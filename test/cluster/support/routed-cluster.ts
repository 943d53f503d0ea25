import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { NodeStatus } from '../../../src/cli/local/local-cluster.ts'
import { getJson, pollUntil } from '../../../src/cli/local/polling.ts'
import type { Fault } from './fault-rounds.ts'
import type { Cut } from './network-faults.ts'
import { RoutedHosts } from './routed-hosts.ts'
import type { WatchedCluster, WatchedNode } from './watched-cluster.ts'

const port = 4001
const readyTimeoutMs = 30_000
const requestTimeoutMs = 2_000
const stopGraceMs = 6_000
const logTailBytes = 2_000

/** Real processes, each on a host of its own, whose network can be cut. Only within a namespace that ends with them. */
export class RoutedCluster implements WatchedCluster {
  readonly nodes: readonly RoutedNode[]
  readonly #hosts: RoutedHosts

  /** Starts `size` nodes of the compiled command line, with data and logs in an existing directory. */
  static async start (program: string, size: number, directory: string): Promise<RoutedCluster> {
    const ids = Array.from({ length: size }, (_, at) => `n${at + 1}`)
    const cluster = new RoutedCluster(program, ids, await RoutedHosts.create(ids), directory)
    try {
      await Promise.all(cluster.nodes.map(async (node) => { await node.ready() }))
      return cluster
    } catch (error) {
      await cluster.stop()
      throw error
    }
  }

  private constructor (program: string, ids: readonly string[], hosts: RoutedHosts, directory: string) {
    this.#hosts = hosts
    const urlOf = (id: string): string => `http://${hosts.address(id)}:${port}`
    const members = ids.map((id) => `${id}=${urlOf(id)}`).join(',')
    this.nodes = ids.map((id) => new RoutedNode(id, urlOf(id), join(directory, `${id}.log`), [
      program, 'node', '--id', id, '--listen', `${hosts.address(id)}:${port}`, '--members', members,
      '--data-dir', join(directory, id), '--insecure'
    ]))
  }

  async status (id: string): Promise<NodeStatus | null> {
    return await getJson<NodeStatus>(`${this.#node(id).url}/_cluster/v1/status`, requestTimeoutMs)
  }

  async waitForLeader (timeoutMs = readyTimeoutMs): Promise<RoutedNode> {
    return await pollUntil('a leader that a majority follows', timeoutMs, async () => {
      const statuses = await Promise.all(this.nodes.map(async ({ id }) => await this.status(id)))
      const leaders = statuses.filter((status) => status?.role === 'leader')
      const leader = leaders.find((candidate) =>
        statuses.filter((status) => status?.leader?.id === candidate?.nodeId).length > this.nodes.length / 2)
      return leader == null ? null : this.#node(leader.nodeId)
    })
  }

  /** A cut of the network between these nodes. */
  faultOf ({ kind, lost, expected }: Cut): Fault {
    return {
      kind: `${this.nodes.length} nodes: ${kind}`,
      expected,
      start: async () => { await this.#hosts.cut(lost) },
      end: async () => { await this.#hosts.heal() }
    }
  }

  async stop (): Promise<void> {
    await Promise.all(this.nodes.map(async (node) => { await node.stop() }))
  }

  #node (id: string): RoutedNode {
    const node = this.nodes.find((candidate) => candidate.id === id)
    if (node === undefined) throw new Error(`There is no node ${id}`)
    return node
  }
}

/** A process of `fastify-raft node` in the network namespace that has its name. */
export class RoutedNode implements WatchedNode {
  readonly id: string
  readonly url: string
  readonly child: WatchedNode['child']
  readonly #process: ChildProcess
  readonly #logFile: string

  /** `environment`: beside the path of programs. */
  constructor (
    id: string,
    url: string,
    logFile: string,
    args: readonly string[],
    environment: Readonly<Record<string, string>> = {}
  ) {
    this.id = id
    this.url = url
    this.#logFile = logFile
    const log = openSync(logFile, 'a')
    // `ip netns exec` becomes the command, so signals reach it.
    const child = spawn('ip', ['netns', 'exec', id, process.execPath, ...args], {
      stdio: ['ignore', log, log],
      env: { PATH: process.env.PATH, ...environment }
    })
    closeSync(log)
    this.#process = child
    this.child = {
      get running () { return child.exitCode === null && child.signalCode === null },
      command: { logFile },
      signal: (name) => { child.kill(name) }
    }
  }

  async ready (): Promise<void> {
    await pollUntil(`${this.id} to be ready`, readyTimeoutMs, async () => {
      if (!this.child.running) throw new Error(`${this.id} ended while it was starting:\n${this.#logTail()}`)
      return await getJson(`${this.url}/_cluster/v1/readyz`, requestTimeoutMs)
    })
  }

  async stop (): Promise<void> {
    if (!this.child.running) return
    const exited = once(this.#process, 'exit')
    const timer = setTimeout(() => { this.child.signal('SIGKILL') }, stopGraceMs)
    this.child.signal('SIGTERM')
    await exited
    clearTimeout(timer)
  }

  #logTail (): string {
    return readFileSync(this.#logFile, 'utf8').slice(-logTailBytes)
  }
}
