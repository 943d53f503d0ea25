import type { FastifyInstance } from 'fastify'
import Fastify from 'fastify'
import type { NodeStatus } from '../../../src/cli/local/local-cluster.ts'
import { pollUntil } from '../../../src/cli/local/polling.ts'
import { freePorts } from '../../../src/cli/local/ports.ts'
import { createClusterPlugin } from '../../../src/plugin/plugin.ts'
import type { Member, RecoveredState } from '../../../src/raft/index.ts'
import { FileSnapshotStore, FileStorage, openRaftEngine } from '../../../src/raft/index.ts'
import { SimulatedDisk } from '../../raft/storage/support/simulated-disk.ts'
import type { Claim } from './leaderships.ts'
import type { AskedCluster, AskedNode } from './watched-cluster.ts'

const clusterId = 'powered'
const timing = { heartbeatMs: 50, electionTimeoutMinMs: 300, electionTimeoutMaxMs: 600 }
/** Small, so that snapshots and new segments fall into many of the moments before a cut. */
const snapshotPolicy = { entries: 200, bytes: 1_000_000, trailingEntries: 50, trailingBytes: 1_000_000 }
const segmentBytes = 32_768
/** Most calls of a disk are quick, and some take longer than a client waits for its answer. */
const quickMs = 4
const slowMs = 80
const slowShare = 0.3
const statusTimeoutMs = 2_000

interface RunningNode {
  readonly app: FastifyInstance
  /** What was on its disk when it started. */
  readonly recovered: RecoveredState
}

/** One node and its disk, which outlives it. */
interface PoweredNode extends AskedNode {
  readonly disk: SimulatedDisk
  running: RunningNode | null
}

/**
 * Three applications with the plugin, in this process and over real connections, each on a simulated disk that loses
 * and tears what was not synced. The power of all of them is cut at one moment: nothing reaches a disk from then on.
 */
export class PoweredCluster implements AskedCluster {
  readonly nodes: readonly PoweredNode[]
  /** Leaderships that nodes have claimed. */
  readonly claims: Claim[] = []
  /** Faults that nodes have logged although their power was on. */
  readonly failures: string[] = []
  readonly #members: readonly Member[]
  #isOn = true
  #cutOff: () => void = () => {}

  private constructor (members: readonly Member[], random: () => number) {
    this.#members = members
    this.nodes = members.map(({ id, url }) => ({
      id,
      url,
      disk: new SimulatedDisk((below) => Math.floor(random() * below), {
        latency: async () => {
          const longestMs = random() < slowShare ? slowMs : quickMs
          await new Promise((resolve) => { setTimeout(resolve, random() * longestMs) })
        },
        onDown: () => { this.cut() }
      }),
      running: null
    }))
  }

  /** Starts the three nodes on empty disks. `random` draws what disks keep and how long they take. */
  static async start (random: () => number): Promise<PoweredCluster> {
    const ports = await freePorts(3)
    const cluster = new PoweredCluster(
      ports.map((port, position) => ({ id: `n${position + 1}`, url: `http://127.0.0.1:${port}` })),
      random
    )
    await cluster.powerOn()
    return cluster
  }

  /** Whether the power is on. */
  get isOn (): boolean { return this.#isOn }

  /** Resolves at the next power cut. */
  async untilCut (): Promise<void> {
    if (this.#isOn) await new Promise<void>((resolve) => { this.#cutOff = resolve })
  }

  /** Cuts the power of all nodes, now. */
  cut (): void {
    if (!this.#isOn) return
    this.#isOn = false
    for (const { disk, running } of this.nodes) {
      disk.goDown()
      running?.app.server.close()
      if (running !== null && 'closeAllConnections' in running.app.server) running.app.server.closeAllConnections()
    }
    this.#cutOff()
  }

  /** Starts all nodes on what a power cut has left, once what is left of their processes has ended. */
  async powerOn (): Promise<void> {
    for (const node of this.nodes) {
      await node.running?.app.close().catch((error: unknown) => {
        // A process without power closes no log.
        if (this.#isOn) throw error
      })
      node.running = null
      node.disk.restart(!this.#isOn)
    }
    this.#isOn = true
    await Promise.all(this.nodes.map(async (node) => { node.running = await this.#start(node) }))
  }

  /** Ends all nodes in order. */
  async stop (): Promise<void> {
    for (const node of this.nodes) {
      await node.running?.app.close()
      node.running = null
    }
  }

  /** The log of each node as it was found at its last start. */
  recovered (): ReadonlyMap<string, RecoveredState> {
    return new Map(this.nodes.flatMap(({ id, running }) => running === null ? [] : [[id, running.recovered]]))
  }

  async status (id: string): Promise<NodeStatus | null> {
    const node = this.nodes.find((candidate) => candidate.id === id)
    try {
      const signal = AbortSignal.timeout(statusTimeoutMs)
      const response = await fetch(`${node?.url}/_cluster/v1/status`, { signal })
      return response.ok ? await response.json() as NodeStatus : null
    } catch {
      return null
    }
  }

  async waitForLeader (timeoutMs = 30_000): Promise<AskedNode> {
    return await pollUntil('every node to follow one leader', timeoutMs, async () => {
      const statuses = await Promise.all(this.nodes.map(async ({ id }) => await this.status(id)))
      const leader = statuses[0]?.leader?.id
      if (leader === undefined || statuses.some((status) => status?.leader?.id !== leader)) return null
      return this.nodes.find(({ id }) => id === leader) ?? null
    })
  }

  async #start (node: PoweredNode): Promise<RunningNode> {
    const { id, disk } = node
    const directory = disk.directory
    let recovered: RecoveredState | null = null
    const app = Fastify({ forceCloseConnections: true })
    await app.register(createClusterPlugin(async (request) => {
      const storage = new FileStorage(
        { directory, identity: { clusterId, nodeId: id }, segmentBytes, minFreeBytes: 0 },
        disk.files
      )
      const open = storage.open.bind(storage)
      storage.open = async () => (recovered = await open())
      return await openRaftEngine({
        ...request,
        nodeId: id,
        clusterId,
        members: this.#members,
        storage,
        snapshots: new FileSnapshotStore({ directory, clusterId, chunkBytes: 4_096 }, disk.files),
        snapshotPolicy,
        timing,
        logger: this.#loggerOf(id),
        hashStateEveryEntries: 100
      })
      // The plugin itself touches no directory: this one is not empty, so that the start asks no other node.
    }), { id, clusterId, members: [...this.#members], dataDir: import.meta.dirname })
    app.cluster.on('leadershipChanged', ({ term, token }) => {
      if (token !== null) this.claims.push({ node: id, term, token: Number(token) })
    })
    await app.listen({ port: Number(new URL(node.url).port), host: '127.0.0.1' })
    if (recovered === null) throw new Error(`${id} has opened no log`)
    return { app, recovered }
  }

  #loggerOf (id: string): Parameters<typeof openRaftEngine>[0]['logger'] {
    return {
      debug: () => {},
      info: () => {},
      warn: () => {},
      error: (details, message) => {
        if (!this.#isOn) return
        const reason = 'err' in details && details.err instanceof Error ? `: ${details.err.message}` : ''
        this.failures.push(`${id}: ${message}${reason}`)
      }
    }
  }
}
