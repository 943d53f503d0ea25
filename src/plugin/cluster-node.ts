import type { FastifyInstance } from 'fastify'
import { AdminClient, Forwarder } from '../gateway/internal.ts'
import type { Logger, Member, RaftEngine, WaitOptions } from '../raft/index.ts'
import { isRaftError, RestoringError, TimeoutError } from '../raft/index.ts'
import {
  defaults,
  logRefusals,
  OpenRequests,
  PeerCertificates,
  settlesWithin,
  Verifier
} from '../raft/internal.ts'
import { Closing } from './closing.ts'
import { CatchUp } from './cluster/catch-up.ts'
import { Coordinator } from './cluster/coordinator.ts'
import { PublicUrls } from './cluster/public-urls.ts'
import type { Credentials } from './credentials.ts'
import { openCredentials } from './credentials.ts'
import type { EngineFactory } from './engine-factory.ts'
import type { NodeEnvironment } from './environment.ts'
import { Departure } from './join/departure.ts'
import { checkBeforeStart, checkFirstMember } from './join/first-check.ts'
import { Joiner } from './join/joiner.ts'
import type { ResolvedOptions } from './options/options.ts'
import { memberReachOf, nameRulesOf } from './options/options.ts'
import { warnOfRisks } from './options/risks.ts'
import type { PrimitiveContext } from './primitives/context.ts'
import { createMap } from './primitives/map.ts'
import { RemoteLocks } from './primitives/remote-locks.ts'
import { RemoteSessions } from './primitives/remote-sessions.ts'
import { RemoteTasks } from './primitives/remote-tasks.ts'
import { transact } from './primitives/transaction.ts'
import { ClusterStateMachine } from './replicated/cluster-state-machine.ts'
import { CertificateCallers } from './routes/certificate-callers.ts'
import type { IdempotentContext } from './routes/idempotent-route.ts'
import { createLeaderSource } from './routes/leader-source.ts'
import { OpenConnections } from './routes/open-connections.ts'
import type { ForwardContext } from './routes/route-guards.ts'
import { listeningOrigin, secondaryServers } from './routes/server-bindings.ts'
import { ChangeStreams } from './v1/change-streams.ts'
import { ClientRequests } from './v1/client-requests.ts'
import { readiness } from './v1/health.ts'
import { Judge } from './v1/judge.ts'
import type { V1Options } from './v1/options.ts'
import { Watch } from './v1/watch.ts'

/**
 * How long the start of the application waits at most until the state is restored and a lone node leads, in
 * milliseconds. Both go on behind it: neither a large state nor a slow disk keeps an application from its start.
 */
const maxStartWaitMs = 5_000

/** How long the other members are asked at most whether this node still belongs, in milliseconds. */
const firstCheckTimeoutMs = 1_500

/** How long a node that closes waits until its session is over in the cluster, in milliseconds. */
const sessionEndMs = 500

/** What a {@link ClusterNode} is built from, once its data is open. */
interface ClusterNodeParts {
  readonly app: FastifyInstance
  readonly options: ResolvedOptions
  readonly logger: Logger
  readonly stateMachine: ClusterStateMachine
  readonly engine: RaftEngine
  /** Calls other nodes; closed with the node. */
  readonly client: AdminClient
  readonly credentials: Credentials
  readonly environment: NodeEnvironment
}

/**
 * The node of one application, in the order of its life: {@link ClusterNode.open} checks and reads its data, `start`
 * lets it take part, `beginClosing` hands its leadership over and waits for requests, `close` ends it.
 */
export class ClusterNode {
  readonly engine: RaftEngine
  readonly cluster: Coordinator
  /** What this node trusts and shows over TLS. */
  readonly tls: Credentials['tls']
  /** What guards of routes work with. */
  readonly guards: ForwardContext & IdempotentContext
  /** What the version 1 routes work with. */
  readonly v1Options: V1Options
  /** Path of the routes for peers, without a trailing slash. */
  readonly peerPath: string
  /** The requests of clients, by forwarders and gateways as well, that the node waits for when it closes. */
  readonly requests: OpenRequests
  readonly connections = new OpenConnections()
  /** How long `beginClosing` may take in all, in milliseconds. */
  readonly closesWithinMs: number
  readonly #app: FastifyInstance
  readonly #nodeId: string
  readonly #environment: NodeEnvironment
  readonly #logger: Logger
  readonly #stateMachine: ClusterStateMachine
  readonly #client: AdminClient
  readonly #credentials: Credentials
  readonly #joiner: Joiner | null
  readonly #departure: Departure
  /** How long leaving may take when the application closes, in milliseconds; 0: it stays a member. */
  readonly #leavesWithinMs: number
  readonly #catchUp: CatchUp
  readonly #publicUrls: PublicUrls
  readonly #forwarder: Forwarder
  readonly #closing: Closing
  readonly #watch: Watch
  #hasStarted = false
  #left: Promise<void> | null = null

  /**
   * Asks the running cluster whether it accepts this node, and opens the data. Starts nothing. Rejects, before anything
   * is written, with the reason why this node cannot be a member, and as the engine does when its data cannot be used.
   */
  static async open (
    app: FastifyInstance,
    options: ResolvedOptions,
    openEngine: EngineFactory,
    environment: NodeEnvironment
  ): Promise<ClusterNode> {
    const logger = app.log.child({ nodeId: options.id })
    warnOfRisks(options, logger)
    const stateMachine = new ClusterStateMachine({ freezesStates: options.debugHashes })
    const credentials = openCredentials(options, logger, environment.clock)
    const { secrets, nonces, prover, tls } = credentials
    let members = (): readonly Member[] => options.members
    const client = new AdminClient({
      tls,
      nameRules: nameRulesOf(options),
      memberAt: (at) => members().find(({ url }) => url === at)?.id,
      headers: options.adminHeaders,
      selfId: options.id,
      environment,
      ...(secrets === null ? {} : { prover })
    })
    try {
      await checkStart(options, client, logger)
      const basePath = peerPathOf(options)
      const parts = { options, stateMachine, logger, environment, secrets, nonces, tls, basePath }
      const engine = await openEngine(parts)
      members = () => engine.members()
      return new ClusterNode({ app, options, logger, stateMachine, engine, client, credentials, environment })
    } catch (error) {
      credentials.close()
      await client.close()
      throw error
    }
  }

  private constructor (parts: ClusterNodeParts) {
    const { app, options, logger, stateMachine, engine, client, credentials, environment } = parts
    const { clock, timers } = environment
    const { id: nodeId, clusterId, url, openApi } = options
    this.#app = app
    this.#environment = environment
    this.requests = new OpenRequests(timers)
    this.#nodeId = nodeId
    this.#logger = logger
    this.#stateMachine = stateMachine
    this.#client = client
    this.#credentials = credentials
    this.tls = credentials.tls
    this.engine = engine
    this.peerPath = peerPathOf(options)
    this.#leavesWithinMs = options.leaveOnClose ? defaults.leaveElectionTimeouts * options.electionTimeoutMaxMs : 0
    this.closesWithinMs = options.closeTimeoutMs + options.electionTimeoutMaxMs + this.#leavesWithinMs
    const nodes = options.join ?? []
    const calls = { engine, nodes, membersPath: membersPathOf(options), client, logger, clock, timers }
    this.#joiner = options.join === null ? null : new Joiner({ ...calls, applicant: { id: nodeId, url, clusterId } })
    this.#departure = new Departure({ ...calls, nodeId, mayBeMember: () => this.#joiner?.hasAsked ?? false })
    this.#catchUp = new CatchUp({ engine, clock, timers, logger, maxLagMs: options.maxLagMs })
    const context = createContext(parts)
    this.cluster = new Coordinator({
      nodeId,
      clusterId,
      context,
      control: engine,
      notes: engine.notes,
      ownOrigin: () => listeningOrigin(app),
      ownUrl: url,
      memberReach: memberReachOf(options),
      joiner: this.#joiner,
      hasStarted: () => this.#hasStarted,
      handOverAfterMs: handOverAfterMs(options),
      auditLogger: app.log.child({ nodeId, name: 'audit' }),
      drain: async () => { await this.#closing.drain() },
      leave: async (wait) => {
        await this.#depart(wait)
        await this.#leave()
      }
    })
    const isAlone = options.join === null && options.members.length === 1
    this.#publicUrls = new PublicUrls({ context, nodeId, own: options.publicUrl, isAlone })
    this.#forwarder = createForwarder(parts)
    this.#closing = this.#createClosing(app, options, logger)
    this.#watch = this.#createWatch()
    this.guards = this.#createGuards(options)
    this.v1Options = {
      path: v1PathOf(options),
      cluster: this.cluster,
      changes: this.cluster.changes,
      audit: this.cluster.audit,
      judge: new Judge({ ...options, tokens: credentials.tokens, logger }),
      showsTokens: credentials.tokens !== null,
      ...mapsOfClients(context, parts),
      locks: new RemoteLocks(context),
      sessions: new RemoteSessions(context),
      tasks: new RemoteTasks(context),
      schedules: this.cluster.schedules,
      catchUp: this.#catchUp,
      watch: this.#watch,
      clients: new ClientRequests(),
      isJoining: () => this.#isJoining(),
      isDraining: () => this.#closing.isDraining,
      guards: this.guards,
      openApi,
      logger
    }
  }

  /**
   * Takes part in the cluster. When this resolves the state is restored, and the only voter of its cluster leads,
   * unless that takes long: then it goes on in the background, which the log says. Rejects when the state cannot be
   * restored, with the reason.
   */
  async start (): Promise<void> {
    this.#stateMachine.machines.seal()
    this.engine.start()
    this.#hasStarted = true
    this.#joiner?.start()
    const { monotonicMs } = this.#environment.clock
    const deadlineMs = monotonicMs() + startWaitMs(this.#app)
    const remainingMs = (): number => Math.max(0, deadlineMs - monotonicMs())
    try {
      await this.engine.waitForState({ timeoutMs: remainingMs() })
      if (this.#isSoleVoter()) await this.cluster.waitForLeadership(remainingMs())
    } catch (error) {
      if (!(error instanceof RestoringError || error instanceof TimeoutError)) throw reasonOf(error)
      this.#logger.warn({ err: error }, 'the application starts before this node is ready')
    }
  }

  /**
   * Begins to close while the server still answers peers, and what is under way. Resolves when there is nothing to wait
   * for any more, and after `withinMs`.
   */
  async beginClosing (withinMs: number): Promise<void> {
    await settlesWithin(this.#environment.timers, this.#closing.begin(), withinMs)
  }

  /** Ends everything that `open` and `start` began. Idempotent. */
  async close (): Promise<void> {
    await this.#closing.end()
  }

  #createGuards (options: ResolvedOptions): ClusterNode['guards'] {
    return {
      engine: this.engine,
      cluster: this.cluster,
      keyed: this.cluster.keyed,
      forwarder: this.#forwarder,
      closing: () => this.#closing.hasBegun,
      requests: this.requests,
      verifier: new Verifier({ nodeId: this.#nodeId, ...this.#credentials }),
      certificates: createCertificateCallers(options, this.engine, this.tls),
      clock: this.#environment.clock,
      refusals: logRefusals(this.#logger, this.#environment.timers),
      forged: this.cluster.forged,
      prefix: options.prefix,
      waitForLeaderMs: options.forward.waitForLeaderMs,
      publicUrls: this.#publicUrls
    }
  }

  #createClosing (app: FastifyInstance, options: ResolvedOptions, logger: Logger): Closing {
    return new Closing({
      engine: this.engine,
      environment: this.#environment,
      logger,
      requests: this.requests,
      connections: this.connections,
      servers: () => [app.server, ...secondaryServers(app)],
      noticed: () => {
        // The server waits for all answers.
        if (!this.#closing.hasBegun) this.#watch.look()
        else {
          this.#watch.close()
          this.v1Options.streams.close()
        }
      },
      stopLeading: () => this.cluster.stopLeading(),
      isSoleVoter: () => this.#isSoleVoter(),
      depart: async () => { await this.#departOnClose() },
      leave: async () => { await this.#leave() },
      closeTimeoutMs: options.closeTimeoutMs,
      handOverAfterMs: handOverAfterMs(options)
    })
  }

  #createWatch (): Watch {
    const { cluster } = this
    return new Watch({
      cluster,
      timers: this.#environment.timers,
      isReady: () => readiness(cluster, this.#catchUp, this.#isJoining(), this.#closing.isDraining).ok
    })
  }

  #isJoining (): boolean {
    return this.#joiner?.isJoining ?? false
  }

  /** Takes this node out of its cluster. While it does, its vote may be needed: it goes on as a member. */
  async #depart (wait: WaitOptions & { readonly timeoutMs: number }): Promise<void> {
    // It would let itself in again.
    await this.#joiner?.stop()
    await this.#departure.leave(wait)
  }

  /** Whatever comes of it, the node closes. */
  async #departOnClose (): Promise<void> {
    if (this.#leavesWithinMs === 0 || !this.#hasStarted) return
    try {
      await this.#depart({ timeoutMs: this.#leavesWithinMs })
    } catch (err) {
      this.#logger.error({ err }, 'this node closes and is still a member: remove it, or start it again on its data')
    }
  }

  async #leave (): Promise<void> {
    this.#left ??= this.#end()
    await this.#left
  }

  async #end (): Promise<void> {
    this.#catchUp.stop()
    this.#publicUrls.stop()
    await this.#joiner?.stop()
    this.cluster.close()
    // Behind it: what this node holds is told that it closes, and not that it was lost.
    await settlesWithin(this.#environment.timers, this.cluster.endSession(), sessionEndMs)
    await Promise.all([this.engine.stop(), this.#forwarder.close(), this.#client.close()])
    this.#credentials.close()
  }

  /** Whether this node is the only voter as its log says: the options are only the seed of the first start. */
  #isSoleVoter (): boolean {
    const voters = this.engine.membership().members.filter(({ role }) => role !== 'learner')
    return voters.length === 1 && voters[0]?.id === this.#nodeId
  }
}

/** Well within the time that Fastify gives to a hook; 0 there means that it has no limit. */
function startWaitMs (app: FastifyInstance): number {
  const { pluginTimeout = 0 } = app.initialConfig
  return pluginTimeout === 0 ? maxStartWaitMs : Math.min(maxStartWaitMs, pluginTimeout / 2)
}

/** What stopped a node, where the error only says that it has stopped. */
function reasonOf (error: unknown): unknown {
  let reason = error
  for (let cause = error; cause instanceof Error; cause = cause.cause) if (isRaftError(cause)) reason = cause
  return reason
}

/** Refuses, before anything is written, a node that the running cluster would not accept. */
async function checkStart (options: ResolvedOptions, client: AdminClient, logger: Logger): Promise<void> {
  const { id, url, clusterId, members, join, dataDir, electionTimeoutMaxMs } = options
  const check = { applicant: { id, url, clusterId }, membersPath: membersPathOf(options), dataDir, client, logger }
  if (join !== null) {
    await checkBeforeStart({ ...check, nodes: join })
    return
  }
  await checkFirstMember({
    ...check,
    nodes: members.filter((member) => member.id !== id).map((member) => member.url),
    withinMs: Math.min(electionTimeoutMaxMs, firstCheckTimeoutMs)
  })
}

function createContext (
  { options, engine, stateMachine, logger, environment: { clock, timers, random } }: ClusterNodeParts
): PrimitiveContext {
  return {
    engine,
    machine: stateMachine,
    clock,
    timers,
    random,
    logger,
    incarnation: engine.status().incarnation,
    defaultTimeoutMs: options.requestTimeoutMs,
    sessionTtlMs: options.processSessionTtlMs,
    idempotency: { origin: 'api', ...options.idempotency }
  }
}

/** Maps for clients over HTTP, who choose their idempotency keys without the application. */
function mapsOfClients (
  context: PrimitiveContext,
  { options, stateMachine, environment: { clock, timers } }: ClusterNodeParts
): Pick<V1Options, 'kv' | 'transact' | 'history' | 'streams'> {
  const ofClients: PrimitiveContext = { ...context, idempotency: { origin: 'http', ...options.idempotency } }
  return {
    kv: createMap(ofClients, 'kv'),
    transact: async (transaction) => await transact(ofClients, transaction),
    history: stateMachine.history,
    streams: new ChangeStreams(clock, timers)
  }
}

function createForwarder ({ options, engine, credentials, environment, logger }: ClusterNodeParts): Forwarder {
  const { clock, timers, connector } = environment
  const { prover, nonces, tls } = credentials
  const { id: nodeId, clusterId } = options
  return new Forwarder({
    selfId: nodeId,
    // A separator that no id has: the same node of another cluster, further along the way, is no loop.
    viaName: `fastify-raft-${clusterId}~${nodeId}`,
    leaders: createLeaderSource(engine, nodeId),
    clusterUuid: () => engine.clusterUuid(),
    prover,
    nonces,
    prefix: options.prefix,
    logger,
    tls,
    nameRules: nameRulesOf(options),
    clock,
    timers,
    connector,
    ...options.forward
  })
}

/** Null: callers show no certificates. */
function createCertificateCallers (
  options: ResolvedOptions,
  engine: RaftEngine,
  tls: Credentials['tls']
): CertificateCallers | null {
  const rules = nameRulesOf(options)
  if (rules === null) return null
  const certificates = new PeerCertificates(tls, rules)
  const { gateways } = options.tls
  return new CertificateCallers({ certificates, engine, gateways, membersPath: membersPathOf(options) })
}

/** Requests that are forwarded meanwhile wait for the next leader. */
function handOverAfterMs ({ forward }: ResolvedOptions): number {
  return forward.waitForLeaderMs / 2
}

function peerPathOf ({ prefix }: ResolvedOptions): string {
  return `${prefix}/raft`
}

function v1PathOf ({ prefix }: ResolvedOptions): string {
  return `${prefix}/v1`
}

function membersPathOf (options: ResolvedOptions): string {
  return `${v1PathOf(options)}/members`
}
