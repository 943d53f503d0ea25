import type { FastifyInstance, RouteOptions } from 'fastify'
import type { Fault, ForwardPolicy } from '../../gateway/internal.ts'
import { readBySchema } from '../../gateway/internal.ts'
import { InvalidOptionsError } from '../../raft/index.ts'
import { routeForwardSchema } from '../options/options-schema.ts'
import type { ClusterRouteMarks, OnLostLeadership, ReadConsistency } from './fastify-types.ts'
import type { IdempotencyRules } from './idempotent-mark.ts'
import { checkIdempotent, readIdempotent } from './idempotent-mark.ts'
import type { RedirectStatus } from './redirect.ts'

/** Where a route is served, and how. */
export type RoutePlace =
  | { readonly kind: 'anywhere' }
  | { readonly kind: 'read', readonly consistency: ReadConsistency }
  | { readonly kind: 'leader-only', readonly redirect?: RedirectStatus, readonly onLost?: OnLostLeadership }
  | { readonly kind: 'forward', readonly policy: ForwardPolicy, readonly onLost?: OnLostLeadership }

/** The marks that `clusterRoutes` gave to a scope. */
export type ScopeMarks = WeakMap<object, ClusterRouteMarks>

/** What the marks beside `forward` may say, besides nothing and false. */
const permitted = {
  leaderOnly: [true],
  repeatable: [true],
  redirect: [307, 308],
  read: ['linearizable', 'leader', 'local'],
  onLost: ['mark', 'fail']
} as const

/** The route as people know it, for messages. */
export function routeName ({ method, url }: Pick<RouteOptions, 'method' | 'url'>): string {
  return `${[method].flat().join(',')} ${url}`
}

/** Refuses marks of a scope that have a wrong form or contradict each other. Throws `RAFT_INVALID_OPTIONS`. */
export function checkScopeMarks (marks: ClusterRouteMarks): void {
  const where = 'clusterRoutes'
  throwAny([...faultsOfForm(marks, where), ...faultsOfPlace(marks, placesOf(marks, {}), where)])
  checkIdempotent(marks.idempotent, where)
}

function throwAny (faults: readonly string[]): void {
  if (faults.length > 0) throw new InvalidOptionsError(faults.join('; '))
}

function faultsOfForm (marks: ClusterRouteMarks, where: string): string[] {
  const faults = faultsOfForward(marks.forward, where)
  for (const [name, values] of Object.entries(permitted)) {
    const value = marks[name as keyof typeof permitted]
    if (value === undefined || value === false || (values as readonly unknown[]).includes(value)) continue
    const isFlag = (values as readonly unknown[])[0] === true
    const choice = isFlag ? 'true or false' : `${values.map((one) => JSON.stringify(one)).join(', ')} or false`
    faults.push(`${name} of ${where} must be ${choice}, got ${JSON.stringify(value)}`)
  }
  if (isForwarded(marks) && marks.leaderOnly === true) {
    faults.push(`${where} is both forward and leaderOnly: a follower can either pass a request on or refuse it`)
  }
  return faults
}

function faultsOfForward (forward: unknown, where: string): string[] {
  if (forward === undefined || typeof forward === 'boolean') return []
  if (typeof forward !== 'object' || forward === null) {
    const given = JSON.stringify(forward)
    return [`forward of ${where} must be true or false, or an object such as { timeoutMs: 60000 }, got ${given}`]
  }
  const faults: Fault[] = []
  readBySchema(routeForwardSchema, forward, 'forward', faults)
  return faults.map(({ path, message }) => `${path} of ${where} ${message}`)
}

/** Where requests may go by these marks. */
interface Places {
  readonly forward: boolean
  readonly leaderOnly: boolean
}

/** Marks that do nothing where the requests of their route go. */
function faultsOfPlace (own: ClusterRouteMarks, { forward, leaderOnly }: Places, where: string): string[] {
  const faults: string[] = []
  if (own.repeatable === true && !forward) {
    faults.push(
      `repeatable of ${where} has no effect without forward: true, since only forwarded requests are sent again`
    )
  }
  if (isSet(own.redirect) && !leaderOnly) {
    faults.push(`redirect of ${where} has no effect without leaderOnly: true, since it stands for the 503 of those`)
  }
  if (isSet(own.onLost) && !forward && !leaderOnly) {
    faults.push(`onLost of ${where} has no effect without forward or leaderOnly: its handler needs no leadership`)
  }
  return faults
}

/** What `read` contradicts on a route of its own; in a scope, `forward` and `leaderOnly` are for its other methods. */
function faultsOfRead (own: ClusterRouteMarks, isReadOnly: boolean, where: string): string[] {
  if (!isSet(own.read)) return []
  const faults = (['forward', 'leaderOnly'] as const)
    .filter((name) => isSet(own[name]))
    .map((name) => `${where} is both read and ${name}: read says by itself where it is served`)
  if (!isReadOnly) {
    faults.push(`read of ${where} has no effect: it is for routes whose methods are GET and HEAD alone`)
  }
  return faults
}

/** Whether the marks ask for forwarding, by true or by an object. */
export function isForwarded ({ forward }: ClusterRouteMarks): boolean {
  return isSet(forward)
}

/** Whether a mark says anything; false takes it back. */
export function isSet (mark: unknown): boolean {
  return mark !== undefined && mark !== false
}

/** What @fastify/websocket adds to the options of a route. */
interface WebSocketOptions {
  readonly websocket?: unknown
}

/** Whether the handler of a route is one of @fastify/websocket. */
export function isWebSocketRoute ({ websocket }: RouteOptions & WebSocketOptions): boolean {
  return websocket === true
}

/** Refuses `read` on a route of @fastify/websocket: a connection sees more than the moment of its begin. */
function faultsOfWebSocket (route: RouteOptions & WebSocketOptions): string[] {
  if (!isWebSocketRoute(route)) return []
  return [
    `${routeName(route)} is a WebSocket route, and read does not work on those: leave it out, or set it to false ` +
      'where the scope has it'
  ]
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

/** What a route is by its marks. */
interface MarkedRoute {
  readonly place: RoutePlace
  /** Null: it may run as often as it is asked. */
  readonly idempotency: IdempotencyRules | null
}

/** What the marks of a route say: its own, else those of its scope. Throws `RAFT_INVALID_OPTIONS`. */
export function readMarks (route: RouteOptions, scope: FastifyInstance, marks: ScopeMarks): MarkedRoute {
  const place = placeOfRoute(route, scope, marks)
  const isOnLeader = place.kind === 'forward' || place.kind === 'leader-only'
  const inherited = marksOfScope(scope, marks).idempotent
  const idempotency = readIdempotent(route.idempotent, inherited, route, { route: routeName(route), isOnLeader })
  if (idempotency === null || place.kind !== 'forward') return { place, idempotency }
  return { place: { ...place, policy: { ...place.policy, idempotent: true } }, idempotency }
}

/**
 * Where a route is served: by its own marks, else by those of its scope. Throws `RAFT_INVALID_OPTIONS`, with every
 * fault.
 */
function placeOfRoute (route: RouteOptions, scope: FastifyInstance, marks: ScopeMarks): RoutePlace {
  const { forward, leaderOnly, repeatable, redirect, read, onLost } = route
  const own: ClusterRouteMarks = { forward, leaderOnly, repeatable, redirect, read, onLost }
  const inherited = marksOfScope(scope, marks)
  const isReadOnly = [route.method].flat().every((method) => ['GET', 'HEAD'].includes(method.toUpperCase()))
  const place = placeOf(own, inherited, isReadOnly)
  const where = routeName(route)
  throwAny([
    ...faultsOfForm(own, where),
    ...faultsOfRead(own, isReadOnly, where),
    ...faultsOfPlace(own, { forward: place.kind === 'forward', leaderOnly: place.kind === 'leader-only' }, where),
    ...(place.kind === 'read' ? faultsOfWebSocket(route) : [])
  ])
  return place
}

/** Where a request may go: by the marks of its route, else by those of its scope. */
function placesOf (own: ClusterRouteMarks, inherited: ClusterRouteMarks): Places {
  const leaderOnly = own.leaderOnly === true
  if (isForwarded(own) || leaderOnly) return { forward: isForwarded(own), leaderOnly }
  const forward = isForwarded(inherited) && own.forward !== false
  return { forward, leaderOnly: !forward && inherited.leaderOnly === true && own.leaderOnly !== false }
}

function placeOf (own: ClusterRouteMarks, inherited: ClusterRouteMarks, isReadOnly: boolean): RoutePlace {
  const isPlaced = isForwarded(own) || own.leaderOnly === true
  const read = isReadOnly && !isPlaced ? own.read ?? inherited.read : false
  if (read !== undefined && read !== false) return { kind: 'read', consistency: read }
  const { forward, leaderOnly } = placesOf(own, inherited)
  const onLost = own.onLost ?? inherited.onLost
  const lost = onLost === undefined || onLost === false ? {} : { onLost }
  if (leaderOnly) {
    const redirect = own.redirect ?? inherited.redirect
    return { kind: 'leader-only', ...lost, ...(redirect === undefined || redirect === false ? {} : { redirect }) }
  }
  return forward ? { kind: 'forward', ...lost, policy: policyOf(own, inherited) } : { kind: 'anywhere' }
}

function policyOf (own: ClusterRouteMarks, inherited: ClusterRouteMarks): ForwardPolicy {
  const repeatable = own.repeatable ?? inherited.repeatable
  const forward = own.forward ?? inherited.forward
  const timeoutMs = typeof forward === 'object' ? forward.timeoutMs : undefined
  return {
    ...(repeatable === undefined ? {} : { repeatable }),
    ...(timeoutMs === undefined ? {} : { timeoutMs })
  }
}
