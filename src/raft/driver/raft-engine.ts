import { randomUUID } from 'node:crypto'
import { ProposalQueue } from '../client/proposal-queue.ts'
import { ReadBarriers } from '../client/read-barriers.ts'
import { asNodeId, stableConfiguration } from '../core/index.ts'
import { defaults } from '../defaults.ts'
import type {
  ChangeOptions,
  EventSource,
  LeaderInfo,
  Leadership,
  Member,
  Membership,
  MembershipChange,
  RaftControl,
  RaftEvents,
  RaftStatus,
  SnapshotTaken,
  WaitOptions
} from '../engine.ts'
import { StoppedError } from '../errors.ts'
import { MemberChanges } from '../membership/changes.ts'
import { LostLog } from '../membership/distrust.ts'
import { Incarnations } from '../membership/incarnations.ts'
import { MemberUrls } from '../membership/member-urls.ts'
import { leaderOf, membershipOf, toMembers } from '../membership/members.ts'
import { OwnCluster } from '../membership/own-cluster.ts'
import { MembershipRecord } from '../membership/record.ts'
import { notLeader, transferLeadership } from '../membership/transfer.ts'
import type { Clock } from '../runtime/clock.ts'
import type { Environment } from '../runtime/environment.ts'
import { systemEnvironment } from '../runtime/environment.ts'
import type { Logger } from '../runtime/logger.ts'
import { notStartedError } from '../runtime/not-started.ts'
import type { Timers } from '../runtime/timers.ts'
import type { SnapshotPolicy } from '../snapshots/policy.ts'
import { defaultSnapshotPolicy } from '../snapshots/policy.ts'
import { ReplicatedState } from '../state/replicated-state.ts'
import { reserveUseOf } from '../state/reserve.ts'
import { StateHashes } from '../state/state-hashes.ts'
import type { StateMachine } from '../state/state-machine.ts'
import type { SnapshotStore } from '../storage/snapshot-store.ts'
import type { Storage } from '../storage/storage.ts'
import { HttpTransport } from '../transport/http-transport.ts'
import type { PeerNotes } from '../transport/peer-notes.ts'
import { createPeerRoutes } from '../transport/peer-routes.ts'
import { isPeerUrl } from '../transport/peer-url.ts'
import type { RequestHandler } from '../transport/request-filter.ts'
import type { NonceExchange } from '../transport/transport.ts'
import type { NameForm } from '../trust/certificate-names.ts'
import { PeerCertificates } from '../trust/peer-certificates.ts'
import { logRefusals } from '../trust/refusal-log.ts'
import type { Secrets } from '../trust/secret.ts'
import type { TlsSource } from '../trust/tls-material.ts'
import { plainTls } from '../trust/tls-material.ts'
import { EngineListener } from './engine-listener.ts'
import { RaftNode } from './node.ts'
import { Notes } from './notes.ts'
import type { OpenedLog } from './open-log.ts'
import { openLog } from './open-log.ts'
import type { Timing } from './timing.ts'
import { toTicks } from './timing.ts'

/** Options of a Raft engine. */
export interface RaftEngineOptions {
  /** Unique in the cluster, and the same at every start on this storage. */
  readonly nodeId: string
  /** The same on all nodes: messages of another cluster are refused. */
  readonly clusterId: string
  /**
   * All members, this node included; empty for a node that waits to be added. It counts only at the first start: from
   * then on the log has the membership.
   */
  readonly members: readonly Member[]
  /**
   * Where the others reach this node. A node that is started with another URL than the log has tells its peers. Left
   * out: that of its id in `members`, or none.
   */
  readonly url?: string
  /**
   * URLs at which any of the members may be. They, and the URLs in `members`, are where this node looks for a member
   * that does not answer where the log says; they do not say who belongs.
   */
  readonly memberUrls?: readonly string[]
  /** Whether this node may connect to a URL that a peer names; to all when left out. */
  readonly acceptUrl?: (url: string) => boolean
  readonly storage: Storage
  /** Store of the snapshots; as durable as the storage, which drops the entries that they cover. */
  readonly snapshots: SnapshotStore
  /** When snapshots are taken; fields that are left out keep their defaults. */
  readonly snapshotPolicy?: Partial<SnapshotPolicy>
  readonly stateMachine: StateMachine
  /** The same on all nodes. */
  readonly timing: Timing
  readonly logger: Logger
  /** The clocks of this process when left out. */
  readonly clock?: Clock
  /**
   * Hashes the state after every so many entries and compares it between the nodes: one that differs from the leader
   * logs `RAFT_STATE_DIVERGED` with the index and stops. The same on all nodes. Left out: states are not compared.
   */
  readonly hashStateEveryEntries?: number
  /**
   * How long the cluster remembers which commands of this node it has applied when this node sends none, in
   * milliseconds of log time: between 10 seconds and a day, an hour when left out.
   */
  readonly sessionTtlMs?: number
  /** Path prefix of the peer routes; `/_cluster/raft` when left out. */
  readonly basePath?: string
  /** What peers prove that they belong with. Null or left out: they are not authenticated. */
  readonly secrets?: Secrets | null
  /** What this node tells its peers with its messages, and what it hears from them; nothing when left out. */
  readonly nonces?: NonceExchange
  /** Which remote addresses may speak as peers; all when left out. */
  readonly acceptRemoteAddress?: (address: string | undefined) => boolean
  /**
   * How peers with https URLs are called; as Node does it when left out. With a certificate of its own, peers have to
   * show theirs as well, to a server that asks for them: see `readTlsMaterial`.
   */
  readonly tls?: TlsSource
  /** Which names of certificates count; `any` when left out. */
  readonly nameForm?: NameForm
}

/** What an engine is built from, beside its environment. */
type EngineOptions = Omit<RaftEngineOptions, 'clock'>

/** Limits on open calls and their sizes; past them callers get `RAFT_BUSY` or `RAFT_TOO_LARGE`. */
const limits = {
  maxPendingCommands: 100_000,
  maxPendingBytes: 67_108_864,
  maxCommandBytes: 4_194_304,
  /** One append carries a batch: a larger one would hold up heartbeats behind it. */
  maxBatchCommands: 4_096,
  maxBatchBytes: 4_194_304,
  maxWaitingReads: 100_000
} as const

const defaultTimeoutMs = 5_000
const defaultBasePath = `${defaults.prefix}/raft`
/** Long, because a follower's disk may be slow without being dead. */
const appendTimeoutMs = 10_000
/** For one chunk of a snapshot; the answer to the last one waits until the whole snapshot is on the peer's disk. */
const snapshotTimeoutMs = 30_000

const noNonces: NonceExchange = { ownBytes: new Uint8Array(0), learn: () => {} }

/** Leaves the current step first: listeners of the engine run inside it, and the core is not re-entrant. */
const afterThisStep = Promise.resolve()

/** The engine of this library: Raft, with peers that reach it over the HTTP server of its process. */
export interface RaftEngine extends RaftControl {
  /** Answers a request of a peer: any request whose path starts with `basePath`. */
  readonly handlePeerRequest: RequestHandler
  /**
   * Whether other nodes have reason to call this one: it has, may have had or waits for other members. As long as it is
   * false, `handlePeerRequest` answers 404.
   */
  readonly expectsPeers: boolean
  /** Bytes to other members, and from them, beside the log. */
  readonly notes: PeerNotes
}

/**
 * Opens the storage and builds a node that is ready to start. Rejects, with nothing started, when the storage refuses
 * (`RAFT_WAL_CORRUPT`, `RAFT_WAL_VERSION`, `RAFT_DATA_DIR`, `RAFT_DATA_DIR_FOREIGN`), and when the latest snapshot is
 * missing or not one of this cluster and release (`RAFT_SNAPSHOT_MISSING`, `RAFT_SNAPSHOT_CORRUPT`,
 * `RAFT_SNAPSHOT_VERSION`). The state in the snapshot is read once the engine is started, however long that takes; see
 * `waitForState`.
 */
export async function openRaftEngine (options: RaftEngineOptions): Promise<RaftEngine> {
  const { clock = systemEnvironment.clock } = options
  return await openRaftEngineIn({ ...systemEnvironment, clock }, options)
}

/** As {@link openRaftEngine}, in an environment of its own. */
export async function openRaftEngineIn (
  environment: Environment,
  options: EngineOptions
): Promise<RaftEngine> {
  const { storage, snapshots } = options
  try {
    return build(environment, options, await openLog(storage, snapshots))
  } catch (error) {
    await storage.close()
    throw error
  }
}

/** Builds the parts in an order in which each gets only parts that exist already. */
function build (environment: Environment, options: EngineOptions, recovered: OpenedLog): RaftEngine {
  const { clusterId, storage, timing, logger, basePath = defaultBasePath } = options
  const { timers } = environment
  const nodeId = asNodeId(options.nodeId)
  const ticks = toTicks(timing)
  const node = createNode(options, recovered, environment)
  const lostLog = new LostLog(nodeId, ticks.electionTicksMax)
  const incarnations = new Incarnations({ nodeId, own: storage.incarnation, node, lostLog, logger })
  const nonces = options.nonces ?? noNonces
  const cluster = new OwnCluster({ nodeId, clusterId, node, logger })
  const urls = createMemberUrls(options, node, ticks.electionTicksMin)
  const transport = new HttpTransport({
    clusterId,
    nodeId,
    incarnations,
    cluster,
    nonces,
    urls,
    environment,
    basePath,
    controlTimeoutMs: timing.electionTimeoutMinMs,
    appendTimeoutMs,
    snapshotTimeoutMs,
    ...tlsOf(options),
    secrets: options.secrets ?? null,
    events: node,
    logger
  })
  const proposals = createProposals(options, node, transport, timers)
  const reads = createReads(options, node, environment)
  const state = new ReplicatedState(options.stateMachine, proposals, createStateHashes(options, node))
  const changes = new MemberChanges(node, timers)
  const record = createRecord(options, { node, changes, incarnations, urls })
  const listener = new EngineListener({
    node,
    incarnations,
    lostLog,
    urls,
    transport,
    proposals,
    reads,
    state,
    changes,
    record,
    logger,
    isSeedMember: options.members.some(({ id }) => id === nodeId)
  })
  const notes = new Notes(node, transport)
  const handlePeerRequest = createPeerRoutes({
    clusterId,
    nodeId,
    incarnations,
    cluster,
    nonces,
    basePath,
    acceptRemoteAddress: options.acceptRemoteAddress ?? (() => true),
    secrets: options.secrets ?? null,
    certificates: createCertificates(options),
    refusals: logRefusals(logger, timers),
    endpoint: node,
    exchangeUrls: (address, members) => transport.exchangeUrls(address, members),
    noteListener: () => notes.listener
  })
  const membership = { incarnations, changes, record }
  const parts = { environment, node, transport, proposals, reads, ...membership, listener, notes, handlePeerRequest }
  return new HttpRaftEngine(options, parts)
}

function createNode (options: EngineOptions, recovered: OpenedLog, environment: Environment): RaftNode {
  const { clock, timers, random } = environment
  return new RaftNode({
    nodeId: asNodeId(options.nodeId),
    configuration: stableConfiguration(options.members.map(({ id, url }) => ({ id: asNodeId(id), address: url }))),
    timing: toTicks(options.timing),
    seed: Math.floor(random() * 2 ** 32),
    storage: options.storage,
    snapshots: options.snapshots,
    snapshotPolicy: { ...defaultSnapshotPolicy, ...options.snapshotPolicy },
    recovered,
    clock,
    timers,
    reserveUse: (command) => reserveUseOf(options.stateMachine, command),
    logger: options.logger
  })
}

function createProposals (
  options: EngineOptions,
  node: RaftNode,
  transport: HttpTransport,
  timers: Timers
): ProposalQueue {
  const { timing, sessionTtlMs = defaults.sessionTtlMs } = options
  return new ProposalQueue({
    nodeId: asNodeId(options.nodeId),
    node,
    transport,
    timers,
    defaultTimeoutMs,
    maxPending: limits.maxPendingCommands,
    maxPendingBytes: limits.maxPendingBytes,
    maxCommandBytes: limits.maxCommandBytes,
    maxBatchCommands: limits.maxBatchCommands,
    maxBatchBytes: limits.maxBatchBytes,
    retryAfterMs: timing.heartbeatMs / 2,
    sessionTtlMs,
    usesReserve: (command) => (options.stateMachine.reserveUse?.(command) ?? null) !== null
  })
}

function createReads ({ timing }: EngineOptions, node: RaftNode, { clock, timers }: Environment): ReadBarriers {
  return new ReadBarriers({
    node,
    clock,
    timers,
    defaultTimeoutMs,
    maxWaiting: limits.maxWaitingReads,
    repeatAfterMs: timing.electionTimeoutMinMs
  })
}

function createRecord (
  { timing: { electionTimeoutMaxMs: timeoutMs } }: EngineOptions,
  parts: Pick<ConstructorParameters<typeof MembershipRecord>[0], 'node' | 'changes' | 'incarnations' | 'urls'>
): MembershipRecord {
  return new MembershipRecord({ ...parts, drawClusterUuid: randomUUID, timeoutMs })
}

/** How peers are called over https, with the defaults. */
function tlsOf (options: EngineOptions): { readonly tls: TlsSource, readonly nameForm: NameForm } {
  return { tls: options.tls ?? plainTls, nameForm: options.nameForm ?? 'any' }
}

/** Null: peers show no certificates. */
function createCertificates (options: EngineOptions): PeerCertificates | null {
  const { tls, nameForm: form } = tlsOf(options)
  return tls.current.own === null ? null : new PeerCertificates(tls, { clusterId: options.clusterId, form })
}

function createMemberUrls (options: EngineOptions, node: RaftNode, announceEveryTicks: number): MemberUrls {
  const { members, memberUrls = [], url, acceptUrl = () => true } = options
  const nodeId = asNodeId(options.nodeId)
  const own = url ?? members.find(({ id }) => id === nodeId)?.url ?? ''
  const accept = (named: string): boolean => isPeerUrl(named) && acceptUrl(named)
  return new MemberUrls({ nodeId, own, members, anyOf: memberUrls, accept, node, announceEveryTicks })
}

function createStateHashes ({ hashStateEveryEntries, logger }: EngineOptions, node: RaftNode): StateHashes | null {
  if (hashStateEveryEntries === undefined) return null
  return new StateHashes({ everyEntries: hashStateEveryEntries, log: node, logger })
}

/** The parts of an engine, as {@link build} puts them together. */
interface EngineParts {
  readonly environment: Environment
  readonly node: RaftNode
  readonly transport: HttpTransport
  readonly incarnations: Incarnations
  readonly proposals: ProposalQueue
  readonly reads: ReadBarriers
  readonly changes: MemberChanges
  readonly record: MembershipRecord
  readonly listener: EngineListener
  readonly notes: Notes
  readonly handlePeerRequest: RequestHandler
}

class HttpRaftEngine implements RaftEngine {
  readonly events: EventSource<RaftEvents>
  readonly handlePeerRequest: RequestHandler
  readonly #options: EngineOptions
  readonly #parts: EngineParts
  /** Aborts when the node stops, however it does. */
  readonly #ended = new AbortController()
  #wasStarted = false

  constructor (options: EngineOptions, parts: EngineParts) {
    this.#options = options
    this.#parts = parts
    this.events = parts.listener.events
    this.handlePeerRequest = parts.handlePeerRequest
    this.events.once('failed', (error) => {
      this.#ended.abort(new StoppedError(error.message, { cause: error }))
    })
  }

  start (): void {
    const { node, transport, listener } = this.#parts
    this.#wasStarted = true
    node.start({ transport, listener })
  }

  async stop (): Promise<void> {
    await this.handOver()
    const reason = new StoppedError('it was closed')
    this.#ended.abort(reason)
    this.#parts.listener.endWaits(reason)
    await this.#parts.node.stop()
  }

  async propose (command: Uint8Array, options: WaitOptions = {}): Promise<unknown> {
    options.signal?.throwIfAborted()
    this.#assertRunning()
    const { node: { restore }, proposals } = this.#parts
    if (restore.isOver) return await proposals.submit(command, options)
    const wait = await this.#withState(options)
    // It may have been aborted while this call waited.
    wait.signal?.throwIfAborted()
    return await proposals.submit(command, wait)
  }

  async readBarrier (options: WaitOptions = {}): Promise<void> {
    options.signal?.throwIfAborted()
    this.#assertRunning()
    const wait = await this.#withState(options)
    wait.signal?.throwIfAborted()
    await this.#parts.reads.wait(wait)
  }

  async waitForState (options: WaitOptions = {}): Promise<void> {
    await this.#parts.node.restore.wait({ ...options, timeoutMs: options.timeoutMs ?? defaultTimeoutMs })
  }

  membership (): Membership {
    return membershipOf(this.#parts.node)
  }

  async changeMembership (changes: readonly MembershipChange[], options: ChangeOptions = {}): Promise<Membership> {
    options.signal?.throwIfAborted()
    this.#assertRunning()
    await this.#parts.record.settled()
    options.signal?.throwIfAborted()
    this.#assertRunning()
    const wait = { ...options, timeoutMs: options.timeoutMs ?? defaultTimeoutMs }
    return await this.#parts.changes.change(changes, this.#parts.record.unrecorded(), wait)
  }

  async transferLeadership (to: string | null, options: WaitOptions = {}): Promise<LeaderInfo> {
    options.signal?.throwIfAborted()
    await afterThisStep
    this.#assertRunning()
    const timeoutMs = options.timeoutMs ?? 2 * this.#options.timing.electionTimeoutMaxMs
    const ended = this.#ended.signal
    const signal = options.signal === undefined ? ended : AbortSignal.any([options.signal, ended])
    const { node, environment: { timers } } = this.#parts
    return await transferLeadership(node, this.events, to, { timeoutMs, signal }, timers)
  }

  async handOver (): Promise<void> {
    const { node } = this.#parts
    if (node.configuration.voters.length === 1 || node.openLeadership === null) return
    try {
      const leader = await this.transferLeadership(null, { timeoutMs: this.#options.timing.electionTimeoutMaxMs })
      this.#options.logger.info({ leader: leader.id, term: leader.term }, 'handed leadership over before stopping')
    } catch (error) {
      this.#options.logger.warn(
        { err: error },
        'no member took leadership over before stopping; the others elect after their timeout'
      )
    }
  }

  async stepDown (): Promise<void> {
    await afterThisStep
    this.#assertRunning()
    const { node } = this.#parts
    if (node.view.role !== 'leader') throw notLeader(leaderOf(node))
    node.stepDown()
  }

  async takeSnapshot (): Promise<SnapshotTaken> {
    this.#assertRunning()
    const { restore } = this.#parts.node
    if (!restore.isOver) throw restore.refusal()
    const { index, term, bytes } = await this.#parts.node.takeSnapshot()
    return { index, term, bytes }
  }

  get notes (): PeerNotes {
    return this.#parts.notes
  }

  get expectsPeers (): boolean {
    return this.#parts.node.expectsPeers
  }

  currentLeadership (): Leadership | null {
    return this.#parts.node.leadership()
  }

  openLeadership (): Leadership | null {
    return this.#parts.node.openLeadership
  }

  leader (): LeaderInfo | null {
    return leaderOf(this.#parts.node)
  }

  members (): readonly Member[] {
    return this.#parts.node.configuration.members.map(({ id, address }) => ({ id, url: address }))
  }

  clusterUuid (): string | undefined {
    return this.#parts.node.clusterUuid
  }

  appliedIndex (): number {
    return this.#parts.node.appliedIndex
  }

  lastContactMs (): number {
    return this.#parts.node.lastContactMs
  }

  hasBelonged (): boolean {
    return this.#parts.node.hasBelonged
  }

  expectCluster (uuid: string): void {
    this.#parts.node.expectCluster(uuid)
  }

  status (): RaftStatus {
    const { nodeId, clusterId, storage: { incarnation, lowSpace } } = this.#options
    const { node } = this.#parts
    const { role, term } = node.view
    const leaseMs = node.leaseRemainingMs
    return {
      nodeId,
      incarnation,
      clusterId,
      clusterUuid: node.clusterUuid ?? null,
      role,
      term,
      leader: leaderOf(node),
      commitIndex: node.commitIndex,
      appliedIndex: node.appliedIndex,
      lastIndex: node.lastIndex,
      snapshotIndex: node.snapshotIndex,
      snapshotFailure: node.snapshotFailure,
      restoring: node.restore.progress,
      leaseRemainingMs: leaseMs === Infinity ? null : leaseMs,
      members: toMembers(node.configuration),
      lowSpace,
      failure: node.failure
    }
  }

  /**
   * Waits for the state, and resolves with what is left of the wait. Without a state nothing is sent: its answer could
   * not be given here in time.
   */
  async #withState (options: WaitOptions): Promise<WaitOptions> {
    const { node: { restore }, environment: { clock } } = this.#parts
    if (restore.isOver) return options
    const { timeoutMs = defaultTimeoutMs, signal } = options
    const since = clock.monotonicMs()
    await restore.wait({ timeoutMs, signal })
    return { timeoutMs: Math.max(0, timeoutMs - (clock.monotonicMs() - since)), signal }
  }

  #assertRunning (): void {
    const { failure, isRunning } = this.#parts.node
    if (failure !== null) throw new StoppedError(failure.message, { cause: failure })
    if (!isRunning) throw this.#wasStarted ? new StoppedError('it was closed') : notStartedError()
  }
}
