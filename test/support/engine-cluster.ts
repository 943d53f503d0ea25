import http from 'node:http'
import type { AddressInfo } from 'node:net'
import { freePorts } from '../../src/cli/local/ports.ts'
import { asIndex } from '../../src/raft/core/index.ts'
import type {
  ApplyContext,
  Clock,
  Logger,
  Member,
  RaftEngine,
  SnapshotPolicy,
  SnapshotStore,
  StateMachine,
  Timing
} from '../../src/raft/index.ts'
import { MemorySnapshotStore, MemoryStorage, openRaftEngine } from '../../src/raft/index.ts'
import { filterRequests, MemberNonces, peerRequestFilter } from '../../src/raft/internal.ts'
import type { Secrets } from '../../src/raft/trust/secret.ts'

export const quietLogger: Logger = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} }

/** Fast enough for tests, slow enough for a busy machine with two cores. */
export const testTiming: Timing = { heartbeatMs: 50, electionTimeoutMinMs: 250, electionTimeoutMaxMs: 500 }

/** A state machine that keeps every command it applied, as text. */
export class JournalMachine implements StateMachine {
  readonly journal: string[] = []
  readonly tokens: number[] = []

  apply (command: Uint8Array, context: ApplyContext): unknown {
    const text = Buffer.from(command).toString()
    this.journal.push(text)
    return { text, index: context.index }
  }

  leadershipStarted (context: ApplyContext): void {
    this.tokens.push(context.index)
  }

  snapshot (): AsyncIterable<Uint8Array> {
    const bytes = Buffer.from(JSON.stringify({ journal: this.journal, tokens: this.tokens }))
    return (async function * () { yield bytes })()
  }

  async restore (source: AsyncIterable<Uint8Array>): Promise<void> {
    const parts: Uint8Array[] = []
    for await (const part of source) parts.push(part)
    const { journal, tokens } = JSON.parse(Buffer.concat(parts).toString()) as { journal: string[], tokens: number[] }
    this.journal.splice(0, Infinity, ...journal)
    this.tokens.splice(0, Infinity, ...tokens)
  }
}

/**
 * A disk in memory that can be made to hang, and that knows the incarnations in the last configuration written to it.
 */
export class HangingStorage extends MemoryStorage {
  #recorded: ReadonlySet<string> = new Set()
  #release: (() => void) | null = null
  #hanging: Promise<void> = Promise.resolve()

  hang (): void {
    this.#hanging = new Promise((resolve) => { this.#release = resolve })
  }

  goOn (): void {
    this.#release?.()
  }

  override async append (...batch: Parameters<MemoryStorage['append']>): Promise<void> {
    await this.#hanging
    await super.append(...batch)
    for (const entry of batch[0].entries) {
      if (entry.kind !== 'configuration') continue
      const { members } = entry.configuration
      this.#recorded = new Set(members.filter(({ incarnation }) => incarnation !== '').map(({ id }) => id))
    }
  }

  hasRecorded (id: string): boolean {
    return this.#recorded.has(id)
  }
}

export interface TestNode {
  readonly id: string
  readonly url: string
  readonly engine: RaftEngine
  readonly machine: JournalMachine
  readonly storage: HangingStorage
  readonly snapshots: SnapshotStore
  readonly server: http.Server
  readonly nonces: MemberNonces
  readonly close: () => Promise<void>
}

async function listen (server: http.Server, given: number): Promise<number> {
  // Below the ephemeral range: no outgoing connection takes the port of a node that is down.
  const [port = 0] = given === 0 ? await freePorts(1) : [given]
  return await new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, '127.0.0.1', () => { resolve((server.address() as AddressInfo).port) })
  })
}

/** Options of an {@link EngineCluster}. */
export interface EngineClusterOptions {
  readonly timing?: Timing
  readonly clock?: Clock
  readonly snapshotPolicy?: Partial<SnapshotPolicy>
  /** Makes the snapshot store of a node; in memory when left out. */
  readonly snapshots?: (id: string) => SnapshotStore
  readonly logger?: Logger
  /** The secrets of a node; peers are not authenticated when left out. */
  readonly secrets?: (id: string) => Secrets
}

/** In-process engines over real sockets on loopback; each listens before any of them starts. */
export class EngineCluster {
  readonly nodes = new Map<string, TestNode>()
  readonly #storages = new Map<string, HangingStorage>()
  readonly #snapshots = new Map<string, SnapshotStore>()
  readonly #joiners = new Map<string, string>()
  #members: readonly Member[] = []
  readonly timing: Timing
  readonly clock: Clock | undefined
  readonly snapshotPolicy: Partial<SnapshotPolicy>
  readonly logger: Logger
  readonly #createSnapshots: (id: string) => SnapshotStore
  readonly #secretsOf: ((id: string) => Secrets) | undefined

  constructor (options: EngineClusterOptions = {}) {
    this.snapshotPolicy = options.snapshotPolicy ?? {}
    this.logger = options.logger ?? quietLogger
    this.#createSnapshots = options.snapshots ?? (() => new MemorySnapshotStore())
    this.timing = options.timing ?? testTiming
    this.clock = options.clock
    this.#secretsOf = options.secrets
  }

  /** Starts the first `opened` nodes of a cluster of this size. */
  async start (size: number, opened = size): Promise<void> {
    const ids = Array.from({ length: size }, (_, position) => `n${position + 1}`)
    const servers = ids.map(() => http.createServer((_request, response) => { response.writeHead(404).end() }))
    const ports = await Promise.all(servers.map((server) => listen(server, 0)))
    this.#members = ids.map((id, position) => ({ id, url: `http://127.0.0.1:${ports[position]}` }))
    await Promise.all(ids.map(async (id, position) => {
      const server = servers[position] as http.Server
      if (position < opened) await this.#open(id, server)
      else await new Promise((resolve) => { server.close(resolve) })
    }))
  }

  node (id: string): TestNode {
    const node = this.nodes.get(id)
    if (node === undefined) throw new Error(`no node ${id}`)
    return node
  }

  /** Starts a closed node again, on its port and with its storage. */
  async restart (id: string): Promise<TestNode> {
    const member = this.#members.find((candidate) => candidate.id === id)
    const server = http.createServer((_request, response) => { response.writeHead(404).end() })
    await listen(server, Number(new URL(member?.url ?? '').port))
    return await this.#open(id, server)
  }

  /**
   * Starts closed nodes again with their storages at other URLs: each at a free port, or at that of another node. By
   * default the options of all of them know all new URLs; `members` gives each its own options.
   */
  async restartElsewhere (
    ports: Readonly<Record<string, number>>,
    members: (id: string, moved: readonly Member[]) => readonly Member[] = (_id, moved) => moved
  ): Promise<readonly TestNode[]> {
    const opened = await Promise.all(Object.entries(ports).map(async ([id, port]) => {
      const server = http.createServer((_request, response) => { response.writeHead(404).end() })
      return { id, server, url: `http://127.0.0.1:${await listen(server, port)}` }
    }))
    const moved = this.#members.map(({ id, url }) => ({ id, url: opened.find((node) => node.id === id)?.url ?? url }))
    return await Promise.all(opened.map(({ id, server, url }) =>
      this.#open(id, server, { url, members: members(id, moved) })
    ))
  }

  /** Deletes the stored data of a closed node. */
  wipe (id: string): void {
    this.#storages.delete(id)
    this.#snapshots.delete(id)
  }

  /** A closed node's disk loses its last entries, although it had confirmed them. */
  async forget (id: string, entryCount: number): Promise<void> {
    const lossy = this.#storages.get(id)
    if (lossy === undefined) throw new Error(`no storage of ${id}`)
    const { hardState, entries } = await lossy.open()
    await lossy.close()
    const left = entries.slice(0, -entryCount)
    const storage = new HangingStorage(lossy.incarnation)
    await storage.open()
    await storage.append({
      hardState: { ...hardState, commit: asIndex(Math.min(hardState.commit, left.length)) },
      entries: left
    })
    await storage.close()
    this.#storages.set(id, storage)
  }

  /** Starts a node that is no member yet; also returns its URL, for the leader to add. */
  async startJoiner (id: string): Promise<TestNode> {
    const server = http.createServer((_request, response) => { response.writeHead(404).end() })
    const port = await listen(server, 0)
    this.wipe(id)
    this.#joiners.set(id, `http://127.0.0.1:${port}`)
    return await this.#open(id, server)
  }

  get leaders (): readonly TestNode[] {
    return [...this.nodes.values()].filter((node) => node.engine.currentLeadership() !== null)
  }

  async close (): Promise<void> {
    await Promise.all([...this.nodes.values()].map((node) => node.close()))
  }

  async #open (
    id: string,
    server: http.Server,
    at: { readonly url?: string, readonly members?: readonly Member[] } = {}
  ): Promise<TestNode> {
    const storage = this.#storages.get(id) ?? new HangingStorage()
    this.#storages.set(id, storage)
    const snapshots = this.#snapshots.get(id) ?? this.#createSnapshots(id)
    this.#snapshots.set(id, snapshots)
    const machine = new JournalMachine()
    const nonces = new MemberNonces(id)
    const engine = await openRaftEngine({
      nonces,
      nodeId: id,
      clusterId: 'test',
      members: this.#joiners.has(id) ? [] : at.members ?? this.#members,
      ...(at.url === undefined ? {} : { url: at.url }),
      storage,
      snapshots,
      snapshotPolicy: this.snapshotPolicy,
      stateMachine: machine,
      timing: this.timing,
      logger: this.logger,
      ...(this.clock === undefined ? {} : { clock: this.clock }),
      ...(this.#secretsOf === undefined ? {} : { secrets: this.#secretsOf(id) })
    })
    filterRequests(server, peerRequestFilter('/_cluster/raft/', engine.handlePeerRequest))
    engine.start()
    const close = async () => {
      this.nodes.delete(id)
      await engine.stop()
      server.closeAllConnections()
      await new Promise((resolve) => { server.close(resolve) })
    }
    const url = at.url ?? this.#joiners.get(id) ?? this.#members.find((member) => member.id === id)?.url ?? ''
    const node: TestNode = { id, url, engine, machine, storage, snapshots, server, nonces, close }
    this.nodes.set(id, node)
    return node
  }
}
