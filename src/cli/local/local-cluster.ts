import { mkdtemp, rm, stat } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { defaults } from '../../raft/defaults.ts'
import type { RaftStatus } from '../../raft/index.ts'
import { PlainError, portInUse } from '../terminal/messages.ts'
import { Child } from './child.ts'
import { getJson, pollUntil } from './polling.ts'
import { freePorts } from './ports.ts'

/** What a cluster on this machine is made of. */
export interface LocalClusterOptions {
  /** How many nodes; 3 unless given. */
  readonly size?: number
  /** Whether a gateway runs in front; true unless given. */
  readonly gateway?: boolean
  /** An existing directory for data and logs, kept at the end. Null or absent: a temporary one, removed at the end. */
  readonly dataDir?: string | null
  /** Loopback ports: those of the nodes, then that of the gateway. Free ones are found unless given. */
  readonly ports?: readonly number[]
  /** The compiled command line; that of this build unless given. */
  readonly program?: string
  /** More arguments for each node. */
  readonly nodeArguments?: readonly string[]
  /** Ends the start early; what runs by then is stopped. */
  readonly signal?: AbortSignal
}

/** The part of the answer of `GET /_cluster/v1/status` that is used here. */
export type NodeStatus = Pick<RaftStatus, 'nodeId' | 'role' | 'term' | 'leader' | 'commitIndex' | 'appliedIndex'>

/** One node of the cluster, running or not. */
export interface LocalNode {
  readonly id: string
  readonly url: string
  readonly dataDir: string
  readonly child: Child
}

const readyPath = `${defaults.prefix}/v1/readyz`
const readyTimeoutMs = 20_000
const stopGraceMs = 6_000
const requestTimeoutMs = 2_000
const portConflictAttempts = 3

/**
 * A cluster of real processes on this machine: nodes, and a gateway in front. Ends with this process at the latest.
 */
export class LocalCluster {
  readonly nodes: readonly LocalNode[]
  readonly gatewayUrl: string | null
  /** Where the data and the logs of all processes are. */
  readonly directory: string
  readonly #gateway: Child | null
  readonly #temporary: boolean

  /**
   * Starts all processes and resolves when every node is ready and the gateway answers.
   * Otherwise rejects with a {@link PlainError} and leaves nothing running.
   */
  static async start (options: LocalClusterOptions = {}): Promise<LocalCluster> {
    for (let attempt = 1; ; attempt++) {
      const cluster = await LocalCluster.#create(options)
      try {
        await cluster.#startAll(options.signal)
        return cluster
      } catch (error) {
        const conflict = cluster.#lostPort()
        await cluster.stop()
        // Another process took a port between its reservation and its use.
        if (conflict && options.ports === undefined && attempt < portConflictAttempts) continue
        throw error
      }
    }
  }

  static async #create (options: LocalClusterOptions): Promise<LocalCluster> {
    const given = options.dataDir ?? null
    const ports = options.ports ?? await freePorts((options.size ?? 3) + 1)
    const directory = given === null ? await mkdtemp(join(tmpdir(), 'fastify-raft-')) : await existingDirectory(given)
    return new LocalCluster(options, directory, given === null, ports)
  }

  private constructor (options: LocalClusterOptions, directory: string, temporary: boolean, ports: readonly number[]) {
    const program = options.program ?? builtProgram()
    const gatewayPort = ports.at(-1)
    const addresses = ports
      .slice(0, -1)
      .map((port, position) => ({
        id: `n${position + 1}`,
        listen: `127.0.0.1:${port}`,
        url: `http://127.0.0.1:${port}`
      }))
    const members = addresses.map(({ id, url }) => `${id}=${url}`).join(',')
    this.directory = directory
    this.#temporary = temporary
    this.nodes = addresses.map(({ id, listen, url }) => {
      const dataDir = join(directory, id)
      const args = [
        program,
        'node',
        '--id',
        id,
        '--listen',
        listen,
        '--members',
        members,
        '--data-dir',
        dataDir,
        ...(options.nodeArguments ?? [])
      ]
      return { id, url, dataDir, child: new Child({ name: id, args, logFile: join(directory, `${id}.log`) }) }
    })
    const gatewayListen = `127.0.0.1:${gatewayPort}`
    const withGateway = options.gateway ?? true
    this.gatewayUrl = withGateway ? `http://${gatewayListen}` : null
    const gatewayArgs = [
      program,
      'gateway',
      '--nodes',
      addresses.map(({ url }) => url).join(','),
      '--listen',
      gatewayListen
    ]
    this.#gateway = withGateway
      ? new Child({ name: 'gateway', args: gatewayArgs, logFile: join(directory, 'gateway.log') })
      : null
  }

  /** The node with this id. Throws when there is none. */
  node (id: string): LocalNode {
    const node = this.nodes.find((candidate) => candidate.id === id)
    if (node === undefined) throw new Error(`There is no node ${id}`)
    return node
  }

  /** The status that a node reports, or null when it does not answer. */
  async status (id: string): Promise<NodeStatus | null> {
    return await getJson<NodeStatus>(`${this.node(id).url}${defaults.prefix}/v1/status`, requestTimeoutMs)
  }

  /** The running node that leads in the highest term, or null. */
  async leader (): Promise<LocalNode | null> {
    const statuses = await Promise.all(
      this.nodes.filter((node) => node.child.running).map(async (node) => await this.status(node.id))
    )
    const leaders = statuses
      .filter((status) => status?.role === 'leader')
      .sort((a, b) => (b?.term ?? 0) - (a?.term ?? 0))
    const id = leaders[0]?.nodeId
    return id === undefined ? null : this.node(id)
  }

  /** Waits until one node leads and a majority of all nodes follows it. */
  async waitForLeader (timeoutMs = readyTimeoutMs): Promise<LocalNode> {
    return await pollUntil('a leader', timeoutMs, async () => {
      const leader = await this.leader()
      if (leader === null) return null
      const statuses = await Promise.all(
        this.nodes.map(async (node) => (node.child.running ? await this.status(node.id) : null))
      )
      const agreeing = statuses.filter((status) => status?.leader?.id === leader.id).length
      return agreeing > this.nodes.length / 2 ? leader : null
    })
  }

  /** The nodes that are not `leader`. */
  followers (leader: LocalNode): readonly LocalNode[] {
    return this.nodes.filter((node) => node !== leader)
  }

  /** Ends one node by a signal and resolves when its process is gone. */
  async kill (id: string, signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    await this.node(id).child.kill(signal)
  }

  /**
   * Starts a node that has ended, on its old address and data. Resolves when it is ready: caught up, a leader known.
   */
  async restart (id: string, timeoutMs = readyTimeoutMs): Promise<void> {
    this.node(id).child.start()
    await this.waitUntilReady(id, timeoutMs)
  }

  async waitUntilReady (id: string, timeoutMs = readyTimeoutMs): Promise<void> {
    const { url, child } = this.node(id)
    await untilAnswering(child, `${url}${readyPath}`, timeoutMs)
  }

  /** Stops everything and removes what was temporary. Idempotent. */
  async stop (): Promise<void> {
    for (const { child } of this.nodes) child.signal('SIGCONT')
    await Promise.all(
      [this.#gateway, ...this.nodes.map((node) => node.child)].map(async (child) => await child?.stop(stopGraceMs))
    )
    if (this.#temporary) await rm(this.directory, { recursive: true, force: true })
  }

  async #startAll (signal: AbortSignal | undefined): Promise<void> {
    for (const { child } of this.nodes) child.start()
    this.#gateway?.start()
    await Promise.all(
      this.nodes.map(async (node) => {
        await untilAnswering(node.child, `${node.url}${readyPath}`, readyTimeoutMs, signal)
      })
    )
    if (this.#gateway !== null) await untilAnswering(this.#gateway, `${this.gatewayUrl}/`, readyTimeoutMs, signal)
  }

  #lostPort (): boolean {
    return [this.#gateway, ...this.nodes.map((node) => node.child)].some(
      (child) => child?.running === false && child.logTail().includes(portInUse)
    )
  }
}

/** The path, if it is a directory. Rejects with a {@link PlainError} when not. */
export async function existingDirectory (path: string): Promise<string> {
  const found = await stat(path).catch(() => null)
  if (found?.isDirectory() !== true) throw new PlainError(`The directory ${path} does not exist`)
  return path
}

// A gateway answers 503 until it knows a node, so any status below 500 means that it is ready.
async function untilAnswering (child: Child, url: string, timeoutMs: number, signal?: AbortSignal): Promise<void> {
  await pollUntil(`${child.command.name} to be ready`, timeoutMs, async () => {
    if (!child.running) throw new PlainError(`${child.command.name} ended while it was starting:\n${child.logTail()}`)
    try {
      const response = await fetch(url, { signal: AbortSignal.timeout(requestTimeoutMs) })
      await response.arrayBuffer()
      return response.status < 500 ? true : null
    } catch {
      return null
    }
  }, signal)
}

/** The command line of this package, wherever the build has put this very code. */
function builtProgram (): string {
  return join(dirname(createRequire(import.meta.url).resolve('fastify-raft/package.json')), 'dist/src/cli/main.js')
}
