import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { FastifyInstance, FastifyPluginAsync, RouteOptions } from 'fastify'
import { fastifyPlugin } from 'fastify-plugin'
import { isSafeMethod } from '../gateway/internal.ts'
import { InvalidOptionsError, StoppedError } from '../raft/index.ts'
import { filterRequests, peerRequestFilter } from '../raft/internal.ts'
import type { Cluster } from './cluster/cluster.ts'
import { ClusterNode } from './cluster-node.ts'
import type { EngineFactory } from './engine-factory.ts'
import { environmentOf } from './environment.ts'
import { resolveOptions } from './options/options.ts'
import type { ClusterOptions } from './options/options-schema.ts'
import { clientSignalOf } from './routes/client-signal.ts'
import type { ClusterRouteMarks } from './routes/fastify-types.ts'
import { guardHops } from './routes/hop-guard.ts'
import type { IdempotentContext } from './routes/idempotent-route.ts'
import { guardIdempotent } from './routes/idempotent-route.ts'
import { LostLeaderships } from './routes/lost-leadership.ts'
import { ReadGuards } from './routes/read-guards.ts'
import { tellReadToken } from './routes/read-token.ts'
import { refuseRepeats } from './routes/repeats.ts'
import { shareRequestIds } from './routes/request-id.ts'
import type { ForwardContext } from './routes/route-guards.ts'
import {
  addFirstOnSend,
  addLastOnRequest,
  guardForward,
  guardHandler,
  guardLeaderOnly
} from './routes/route-guards.ts'
import type { RoutePlace, ScopeMarks } from './routes/route-marks.ts'
import { checkScopeMarks, isWebSocketRoute, readMarks, routeName } from './routes/route-marks.ts'
import { secondaryServers } from './routes/server-bindings.ts'
import { refuseUncertifiedServer, renewServers } from './routes/server-certificate.ts'
import { refuseUnreachableServer } from './routes/server-protocol.ts'
import { refuseEarlierRoutes, watchOuterRoutes } from './routes/unguarded-routes.ts'
import { filterUpgrades } from './routes/upgrades.ts'
import type { DirectRoutes } from './v1/direct-routes.ts'
import { openDirectRoutes } from './v1/direct-routes.ts'
import { v1Routes } from './v1/routes.ts'

/** Builds the plugin over an engine. */
export function createClusterPlugin (openEngine: EngineFactory): FastifyPluginAsync<ClusterOptions> {
  const plugin: FastifyPluginAsync<ClusterOptions> = async (app, input) => {
    refuseWrongPlace(app)
    const options = resolveOptions(input)
    refuseUnreachableServer(app, options.url)
    refuseUncertifiedServer(app, options)
    const decorated = decorateCluster(app)
    const node = await ClusterNode.open(app, options, openEngine, environmentOf(input))
    decorated.is(node.cluster)
    await install(app, node)
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

/**
 * Decorates the application with `cluster` before there is one: opening takes a while, and an application that has not
 * awaited it is told so, instead of finding nothing. Until the registration begins, nothing of this package has run.
 */
function decorateCluster (app: FastifyInstance): { readonly is: (cluster: Cluster) => void } {
  let opened: Cluster | null = null
  app.decorate('cluster', {
    getter: () => {
      if (opened !== null) return opened
      throw new StoppedError('it is being opened, or could not be. Use app.cluster after await app.register(cluster)')
    }
  })
  return { is: (cluster) => { opened = cluster } }
}

/** Ties the life of the node to that of the application, and gives the application its routes and decorators. */
async function install (app: FastifyInstance, node: ClusterNode): Promise<void> {
  holdClose(app, node)
  const direct = await openDirectRoutes(node.v1Options)
  app.addHook('onClose', async () => {
    await node.close()
    await direct.close()
  })
  connectServers(app, node, direct)
  guardRoutes(app, node.guards)
  await app.register(v1Routes, { prefix: node.v1Options.path, ...node.v1Options })
  const refuseOuterRoutes = watchOuterRoutes(app, (route) => { refuseRepeats(node.guards, route) })
  app.addHook('onReady', async () => {
    refuseOuterRoutes()
    beginWithFastify(app, node)
    await node.start()
  })
}

/**
 * Keeps the server open until the node has nothing to wait for. Fastify gives up on a hook after `pluginTimeout`, and
 * goes on: so several hooks wait in turn.
 */
function holdClose (app: FastifyInstance, node: ClusterNode): void {
  const { pluginTimeout = 0 } = app.initialConfig
  const withinMs = pluginTimeout === 0 ? Infinity : Math.ceil(pluginTimeout / 2)
  for (let heldMs = 0; heldMs === 0 || heldMs < node.closesWithinMs; heldMs += withinMs) {
    app.addHook('preClose', async () => { await node.beginClosing(withinMs) })
  }
}

/**
 * Begins to close before Fastify refuses the first request, however long the `preClose` hooks take that were added
 * before the plugin: a forwarded request would get an answer that its sender cannot trust. What is given to `onClose`
 * last runs first, and Fastify's own part of closing was given to it right before the `onReady` hooks. A release
 * without that method begins with the `preClose` hook of the plugin.
 */
function beginWithFastify (
  app: FastifyInstance & { readonly onClose?: (begin: () => void) => void },
  node: ClusterNode
): void {
  // Nothing is waited for here: Fastify would go on to take requests.
  app.onClose?.(() => { node.beginClosing(0).catch(() => {}) })
}

/**
 * Takes off the servers, before the application sees them: forwarded requests that are not for this node, peer traffic,
 * and what nodes and gateways ask.
 */
function connectServers (
  app: FastifyInstance,
  { engine, guards, peerPath, requests, connections, tls }: ClusterNode,
  direct: DirectRoutes
): void {
  const onPeerRequest = (request: IncomingMessage, response: ServerResponse): void => {
    engine.handlePeerRequest(request, response)
  }
  const isOfPeer = peerRequestFilter(`${peerPath}/`, onPeerRequest, () => engine.expectsPeers)
  const isWrongHop = guardHops(guards)
  const isAnswered = (request: IncomingMessage, response: ServerResponse): boolean => {
    if (isOfPeer(request, response)) return true
    requests.add(request, response)
    return isWrongHop(request, response) || direct.answers(request, response)
  }
  const connect = (server: Server): void => {
    // One filter for all: every request of the application passes it.
    filterRequests(server, isAnswered)
    connections.watch(server)
  }
  connect(app.server)
  // What listens for upgrades is registered before the plugin or behind it. Further servers pass theirs on to this one.
  app.addHook('onReady', async () => { filterUpgrades(app.server, isWrongHop) })
  renewServers(tls, () => [app.server, ...secondaryServers(app)], app.log)
  app.addHook('onListen', async () => { secondaryServers(app).forEach(connect) })
}

/** Puts the guards on all routes that are declared from here on. */
function guardRoutes (app: FastifyInstance, context: ForwardContext & IdempotentContext): void {
  const scopes: ScopeMarks = new WeakMap()
  app.decorate('clusterRoutes', function (this: FastifyInstance, marks: ClusterRouteMarks) {
    checkScopeMarks(marks)
    scopes.set(this, marks)
  })
  shareRequestIds(app)
  app.decorateReply('clientSignal', { getter () { return clientSignalOf(this) } })
  const guards = createRouteGuards(context)
  app.addHook('onRoute', function (this: FastifyInstance, route: RouteOptions) {
    const { place, idempotency } = readMarks(route, this, scopes)
    // The guards of the place come around the handler, and judge its answer before it is remembered.
    if (isWebSocketRoute(route)) {
      // Its handler is called with another thing in place of the request, and sends no answer.
    } else if (idempotency === null) refuseRepeats(context, route)
    else guardIdempotent(context, idempotency, route)
    guards(route, place)
  })
}

/** What is put on a route by its place. Routes that are served anywhere stay as they are. */
function createRouteGuards (context: ForwardContext): (route: RouteOptions, place: RoutePlace) => void {
  const { engine, publicUrls } = context
  const reads = new ReadGuards(context)
  const lost = new LostLeaderships(context)
  const leaderOnly = guardLeaderOnly(context)
  const readToken = tellReadToken(engine)
  return (route, place) => {
    switch (place.kind) {
      case 'anywhere': return
      case 'read':
        addLastOnRequest(route, reads.of(place.consistency))
        addFirstOnSend(route, readToken)
        if (place.consistency === 'leader') route.handler = guardHandler(context, route.handler)
        return
      case 'leader-only':
        if (place.redirect !== undefined && !publicUrls.mayRedirect) throw withoutPublicUrl(route)
        addLastOnRequest(
          route,
          place.redirect === undefined ? leaderOnly : guardLeaderOnly(context, place.redirect)
        )
        break
      case 'forward':
        addLastOnRequest(route, guardForward(context, place.policy))
    }
    // A WebSocket has no body that the leadership could end during, and no answer.
    if (isWebSocketRoute(route)) return
    if (![route.method].flat().every(isSafeMethod)) addFirstOnSend(route, readToken)
    if (place.onLost === undefined) {
      route.handler = guardHandler(context, route.handler)
    } else {
      route.handler = guardHandler(context, lost.noted(route.handler))
      addFirstOnSend(route, lost.judging(place.onLost))
    }
  }
}

function withoutPublicUrl (route: RouteOptions): Error {
  return new InvalidOptionsError(
    `redirect of ${routeName(route)} needs the option publicUrl on all nodes: it says where clients reach a node, ` +
      'which may be elsewhere than where its peers do'
  )
}
