import { subscribe } from 'node:diagnostics_channel'
import type { FastifyInstance, RouteOptions } from 'fastify'
import { InvalidOptionsError } from '../../raft/index.ts'
import { routeName } from './route-marks.ts'

const markedRoutes = new WeakMap<object, RouteOptions[]>()
const guardedRoutes = new WeakSet<RouteOptions>()

// Fastify hands plugins no list of the routes declared before them. A marked route among those would be served on every
// node without a word, so that each application is watched from its creation.
subscribe('fastify.initialization', (message) => {
  const { fastify: app } = message as { readonly fastify: FastifyInstance }
  const routes: RouteOptions[] = []
  markedRoutes.set(app.server, routes)
  app.addHook('onRoute', (route) => {
    if (route.forward === true || route.leaderOnly === true) routes.push(route)
  })
})

/** Notes that a route's marks are honoured. */
export function noteGuarded (route: RouteOptions): void {
  guardedRoutes.add(route)
}

/**
 * Throws `RAFT_INVALID_OPTIONS` when a route of the application carries marks that nobody honours: it was declared
 * before the plugin was loaded, or in a scope beyond its reach. Knows only applications created after this module was
 * loaded.
 */
export function refuseUnguardedRoutes (app: FastifyInstance): void {
  const unguarded = (markedRoutes.get(app.server) ?? []).filter((route) => !guardedRoutes.has(route))
  if (unguarded.length === 0) return
  throw new InvalidOptionsError(
    `forward or leaderOnly would have no effect on ${unguarded.map(routeName).join(', ')}: ` +
      'declare these routes after `await app.register(cluster)`, in the same scope or inside it'
  )
}
