import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { FastifyInstance, FastifyPluginAsync, RouteOptions } from 'fastify'
import { fastifyPlugin } from 'fastify-plugin'
import { AdminClient, Forwarder } from '../gateway/internal.ts'
import type { RaftControl, RaftEngine } from '../raft/index.ts'
import { InvalidOptionsError } from '../raft/index.ts'
import { filterRequests, peerRequestFilter, systemClock } from '../raft/internal.ts'
import { CatchUp } from './cluster/catch-up.ts'
import { Coordinator } from './cluster/coordinator.ts'
import type { EngineFactory } from './engine-factory.ts'
import { checkBeforeStart, checkFirstMember } from './join/first-check.ts'
import { Joiner } from './join/joiner.ts'
import { OwnUrl } from './join/own-url.ts'
import type { ResolvedOptions } from './options/options.ts'
import { resolveOptions } from './options/options.ts'
import type { ClusterOptions } from './options/options-schema.ts'
import { ClusterStateMachine } from './replicated/cluster-state-machine.ts'
import type { ClusterRouteMarks } from './routes/fastify-types.ts'
import { guardHops } from './routes/hop-guard.ts'
import { createLeaderSource } from './routes/leader-source.ts'
import type { ForwardContext } from './routes/route-guards.ts'
import { guardForward, guardLeaderOnly } from './routes/route-guards.ts'
import type { ScopeMarks } from './routes/route-marks.ts'
import { checkMarks, placeOfRoute } from './routes/route-marks.ts'
import { listeningOrigin, secondaryServers } from './routes/server-bindings.ts'
import { refuseEarlierRoutes, watchOuterRoutes } from './routes/unguarded-routes.ts'
import { v1Routes } from './v1/routes.ts'

/** How long a lone node may take from its start until it leads, in milliseconds. */
const loneLeaderTimeoutMs = 10_000

/**
 * How long requests may go on once the node closes, in milliseconds. Then those that wait for the cluster are answered
 * (503, or 504 when the outcome is unknown) and what is still being forwarded is cut: an endless answer would keep the
 * server open for ever.
 */
const closingGraceMs = 2_000

/** Builds the plugin over an engine. */
export function createClusterPlugin (openEngine: EngineFactory): FastifyPluginAsync<ClusterOptions> {
  const plugin: FastifyPluginAsync<ClusterOptions> = async (app, input) => {
    refuseWrongPlace(app)
    const options = resolveOptions(input)
    await install(app, options, openEngine)
  }
  return fastifyPlugin(plugin, { name: 'fastify-raft', fastify: '^5.8.3' })
}

function refuseWrongPlace (app: FastifyInstance): void {
  if (app.hasDecorator('cluster')) {
    throw new InvalidOptionsError(
      'app.cluster exists already: fastify-raft is registered twice, or another plugin has taken the name'
    )
  }
  if (app.prefix !== '') {
    throw new InvalidOptionsError(
      `register fastify-raft outside of the scope with the prefix ${app.prefix}: peers and gateways look for it at ` +
        'the root'
    )
  }
  refuseEarlierRoutes(app)
}

// eslint-disable-next-line max-lines-per-function -- to become one object with a lifecycle
async function install (app: FastifyInstance, options: ResolvedOptions, openEngine: EngineFactory): Promise<void> {
  const { id: nodeId, clusterId } = options
  const logger = app.log.child({ nodeId })
  if ((options.members.length > 1 || options.join !== null) && options.dataDir === null) {
    logger.warn(
      'no dataDir: this node forgets everything when it stops. Its cluster then goes on without it, until it is ' +
        'removed and joins again'
    )
  }
  const basePath = `${options.prefix}/raft`
  const stateMachine = new ClusterStateMachine({ checksStates: options.debugHashes })
  const client = new AdminClient()
  const path = `${options.prefix}/v1`
  const joining =
    options.join === null
      ? null
      : {
          applicant: { id: nodeId, url: options.url, clusterId },
          nodes: options.join,
          membersPath: `${path}/members`,
          client
        }
  await checkStart(options, client, `${path}/members`)
  const engine = await openEngine({ options, stateMachine, logger, clock: systemClock, basePath })
  let closing = false
  const joiner = joining === null ? null : new Joiner({ ...joining, engine, logger })
  const ownUrl = new OwnUrl({ engine, nodeId, url: options.url, membersPath: `${path}/members`, client, logger })
  const catchUp = new CatchUp(engine, logger, options.requestTimeoutMs)
  const cluster = new Coordinator({
    nodeId,
    clusterId,
    context: { engine, machine: stateMachine, clock: systemClock, logger, defaultTimeoutMs: options.requestTimeoutMs },
    control: engine,
    ownOrigin: () => listeningOrigin(app),
    ownUrl: options.url,
    insecure: options.insecure,
    joinFailure: () => joiner?.failure ?? null
  })
  // A separator that no id has: the same node of another cluster, further along the way, is no loop.
  const viaName = `fastify-raft-${clusterId}~${nodeId}`
  const forwarder = new Forwarder({
    selfId: nodeId,
    viaName,
    leaders: createLeaderSource(engine, nodeId),
    prefix: options.prefix,
    logger,
    ...options.forward
  })
  const guards: ForwardContext = {
    engine,
    cluster,
    forwarder,
    closing: () => closing,
    waitForLeaderMs: options.forward.waitForLeaderMs
  }

  let leaving: Promise<void> | null = null
  const leave = async (): Promise<void> => {
    leaving ??= leaveCluster()
    await leaving
  }
  const leaveCluster = async (): Promise<void> => {
    catchUp.stop()
    await joiner?.stop()
    await ownUrl.stop()
    await cluster.close()
    await engine.stop()
    await forwarder.close()
    await client.close()
  }
  let grace: NodeJS.Timeout | null = null
  app.addHook('preClose', async () => {
    closing = true
    grace = setInterval(() => {
      // Node closes those that were idle when the server closed, and not those that have become so since.
      for (const server of [app.server, ...secondaryServers(app)]) {
        if ('closeIdleConnections' in server) server.closeIdleConnections()
      }
      leave().catch((err: unknown) => { logger.error({ err }, 'leaving the cluster failed') })
    }, closingGraceMs)
    // Not only once the last connection is gone: until then nobody would serve what is forwarded.
    await engine.handOver()
  })
  app.addHook('onClose', async () => {
    closing = true
    if (grace !== null) clearInterval(grace)
    await leave()
  })
  app.decorate('cluster', cluster)
  connectPeers(app, engine, guards, basePath)
  guardRoutes(app, guards)
  await app.register(v1Routes, {
    prefix: path,
    path,
    cluster,
    catchUp,
    isJoining: () => joiner?.isJoining ?? false,
    guards,
    insecure: options.insecure
  })

  const refuseOuterRoutes = watchOuterRoutes(app)
  app.addHook('onReady', async () => {
    refuseOuterRoutes()
    await stateMachine.machines.seal()
    engine.start()
    // Alone, it has nobody to wait for: after ready() it leads.
    joiner?.start()
    ownUrl.start()
    if (isAlone(engine, nodeId)) await cluster.waitForLeadership(loneLeaderTimeoutMs)
  })
}

/** Refuses, before anything is written, what the running cluster says that this node cannot be. */
async function checkStart (
  { id, url, clusterId, members, join, dataDir, electionTimeoutMaxMs }: ResolvedOptions,
  client: AdminClient,
  membersPath: string
): Promise<void> {
  const check = { applicant: { id, url, clusterId }, membersPath, dataDir, client }
  if (join !== null) await checkBeforeStart({ ...check, nodes: join })
  else {
    await checkFirstMember({
      ...check,
      nodes: members.filter((member) => member.id !== id).map((member) => member.url),
      withinMs: Math.min(electionTimeoutMaxMs, 1_500)
    })
  }
}

/** Whether this node is the only voter, as its log says: the options are only the seed of the first start. */
function isAlone (engine: RaftControl, nodeId: string): boolean {
  const voters = engine.membership().members.filter(({ role }) => role !== 'learner')
  return voters.length === 1 && voters[0]?.id === nodeId
}

/** Takes peer traffic, and forwarded requests that are not for this node, off the servers before Fastify sees them. */
function connectPeers (app: FastifyInstance, engine: RaftEngine, guards: ForwardContext, basePath: string): void {
  const onPeerRequest = (request: IncomingMessage, response: ServerResponse): void => {
    // A closing server waits for its connections, and peers would keep theirs open for ever.
    if (guards.closing()) response.shouldKeepAlive = false
    engine.handlePeerRequest(request, response)
  }
  const isOfPeer = peerRequestFilter(`${basePath}/`, onPeerRequest)
  const isWrongHop = guardHops(guards)
  const connect = (server: Server): void => {
    // One filter for both: every request of the application passes it.
    filterRequests(server, (request, response) => isWrongHop(request, response) || isOfPeer(request, response))
  }
  connect(app.server)
  app.addHook('onListen', async () => { secondaryServers(app).forEach(connect) })
}

/** Puts the guards on all routes that are declared from here on. */
function guardRoutes (app: FastifyInstance, context: ForwardContext): void {
  const scopes: ScopeMarks = new WeakMap()
  app.decorate('clusterRoutes', function (this: FastifyInstance, marks: ClusterRouteMarks) {
    checkMarks(marks, 'clusterRoutes')
    scopes.set(this, marks)
  })
  const forward = guardForward(context)
  const leaderOnly = guardLeaderOnly(context)
  app.addHook('onRoute', function (this: FastifyInstance, route: RouteOptions) {
    const place = placeOfRoute(route, this, scopes)
    if (place === 'anywhere') return
    // First among the route's own hooks: what those do to the body is for the leader to do.
    route.preParsing = [place === 'forward' ? forward : leaderOnly, ...[route.preParsing ?? []].flat()]
  })
}
