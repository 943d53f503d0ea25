import type { FastifyInstance, RouteOptions } from 'fastify'
import type { Fault, ForwardPolicy } from '../../gateway/internal.ts'
import { readBySchema } from '../../gateway/internal.ts'
import { InvalidOptionsError } from '../../raft/index.ts'
import { routeForwardSchema } from '../options/options-schema.ts'
import type { ClusterRouteMarks } from './fastify-types.ts'

/** Where a route is served, and for one that is forwarded, how. */
type RoutePlace =
  | { readonly kind: 'anywhere' }
  | { readonly kind: 'leader-only' }
  | { readonly kind: 'forward', readonly policy: ForwardPolicy }

/** The marks that `clusterRoutes` gave to a scope. */
export type ScopeMarks = WeakMap<object, ClusterRouteMarks>

/** The route as people know it, for messages. */
export function routeName ({ method, url }: Pick<RouteOptions, 'method' | 'url'>): string {
  return `${[method].flat().join(',')} ${url}`
}

/** Refuses marks of a scope that have a wrong form or contradict each other. Throws `RAFT_INVALID_OPTIONS`. */
export function checkScopeMarks (marks: ClusterRouteMarks): void {
  checkMarks(marks, 'clusterRoutes')
  checkRepeatable(marks, isForwarded(marks), 'clusterRoutes')
}

function checkMarks ({ forward, leaderOnly, repeatable }: ClusterRouteMarks, where: string): void {
  checkForward(forward, where)
  for (const [name, value] of Object.entries({ leaderOnly, repeatable })) {
    if (value !== undefined && typeof value !== 'boolean') {
      throw new InvalidOptionsError(`${name} of ${where} must be true or false, got ${JSON.stringify(value)}`)
    }
  }
  if (isForwarded({ forward }) && leaderOnly === true) {
    throw new InvalidOptionsError(
      `${where} is both forward and leaderOnly: a follower can either pass a request on or refuse it`
    )
  }
}

function checkForward (forward: unknown, where: string): void {
  if (forward === undefined || typeof forward === 'boolean') return
  if (typeof forward !== 'object' || forward === null) {
    throw new InvalidOptionsError(
      `forward of ${where} must be true or false, or an object such as { timeoutMs: 60000 }, got ` +
        JSON.stringify(forward)
    )
  }
  const faults: Fault[] = []
  readBySchema(routeForwardSchema, forward, 'forward', faults)
  if (faults.length === 0) return
  throw new InvalidOptionsError(faults.map(({ path, message }) => `${path} of ${where} ${message}`).join('; '))
}

/** Whether the marks ask for forwarding, by true or by an object. */
export function isForwarded ({ forward }: ClusterRouteMarks): boolean {
  return forward !== undefined && forward !== false
}

function checkRepeatable ({ repeatable }: ClusterRouteMarks, hasForward: boolean, where: string): void {
  if (repeatable !== true || hasForward) return
  throw new InvalidOptionsError(
    `repeatable of ${where} has no effect without forward: true, since only forwarded requests are sent again`
  )
}

/** What @fastify/websocket adds to the options of a route. */
interface WebSocketOptions {
  readonly websocket?: unknown
  readonly wsHandler?: unknown
}

/**
 * Refuses a route of @fastify/websocket: a connection is not passed on, so that a copy that does not lead would refuse
 * it with 404 or 503.
 */
function refuseWebSocket (route: RouteOptions & WebSocketOptions): void {
  const { websocket, wsHandler } = route
  if (websocket !== true && wsHandler === undefined) return
  throw new InvalidOptionsError(
    `${routeName(route)} is a WebSocket route, and forward and leaderOnly do not work on those: leave them out, or ` +
      'set them to false where the scope has them. Every copy then takes connections; its handler can look at ' +
      'app.cluster.isLeader, and name app.cluster.leaderEndpoint to the client'
  )
}

/** The marks of the scope, or of the nearest scope around it that has any. */
function marksOfScope (scope: FastifyInstance, marks: ScopeMarks): ClusterRouteMarks {
  // A scope's prototype is the scope around it: that is how Fastify builds them.
  for (let around: object | null = scope; around !== null; around = Object.getPrototypeOf(around) as object | null) {
    const found = marks.get(around)
    if (found !== undefined) return found
  }
  return {}
}

/** Where a route is served: by its own marks, else by those of its scope. Throws `RAFT_INVALID_OPTIONS`. */
export function placeOfRoute (route: RouteOptions, scope: FastifyInstance, marks: ScopeMarks): RoutePlace {
  const own: ClusterRouteMarks = {
    forward: route.forward,
    leaderOnly: route.leaderOnly,
    repeatable: route.repeatable
  }
  checkMarks(own, routeName(route))
  const inherited = marksOfScope(scope, marks)
  const place = kindOfPlace(own, inherited)
  checkRepeatable(own, place === 'forward', routeName(route))
  if (place !== 'anywhere') refuseWebSocket(route)
  if (place !== 'forward') return { kind: place }
  const repeatable = own.repeatable ?? inherited.repeatable
  const forward = own.forward ?? inherited.forward
  const timeoutMs = typeof forward === 'object' ? forward.timeoutMs : undefined
  return {
    kind: 'forward',
    policy: {
      ...(repeatable === undefined ? {} : { repeatable }),
      ...(timeoutMs === undefined ? {} : { timeoutMs })
    }
  }
}

function kindOfPlace (own: ClusterRouteMarks, inherited: ClusterRouteMarks): RoutePlace['kind'] {
  if (isForwarded(own)) return 'forward'
  if (own.leaderOnly === true) return 'leader-only'
  if (isForwarded(inherited) && own.forward !== false) return 'forward'
  if (inherited.leaderOnly === true && own.leaderOnly !== false) return 'leader-only'
  return 'anywhere'
}
