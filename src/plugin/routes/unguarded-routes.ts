import type { FastifyInstance, RouteOptions } from 'fastify'
import { InvalidOptionsError } from '../../raft/index.ts'
import { isForwarded, isSet, routeName } from './route-marks.ts'

/**
 * Refuses an application that has routes already. Fastify keeps nothing of their marks: one that asks for the leader
 * would be served on every node without a sign. Passes over routes for OPTIONS alone, which the preflight of
 * CORS needs and no mark is meant for. Throws `RAFT_INVALID_OPTIONS`.
 */
export function refuseEarlierRoutes (app: FastifyInstance): void {
  refuse(routesIn(app.printRoutes({ commonPrefix: false })))
}

/**
 * Watches the scopes around that of the plugin, which its guards do not reach, for marked routes; `onUnmarked` is told
 * of the others. The function returned throws `RAFT_INVALID_OPTIONS` when there are marked ones.
 */
export function watchOuterRoutes (app: FastifyInstance, onUnmarked: (route: RouteOptions) => void): () => void {
  const marked: string[] = []
  // A scope's prototype is the scope around it: that is how Fastify builds them. The root is a plain object.
  for (let scope = outerOf(app); scope !== null; scope = outerOf(scope)) {
    scope.addHook('onRoute', (route) => {
      if (isMarked(route)) marked.push(routeName(route))
      else onUnmarked(route)
    })
  }
  return () => { refuse(marked) }
}

function isMarked (route: RouteOptions): boolean {
  const { leaderOnly, repeatable, redirect, read, onLost, idempotent } = route
  return isForwarded(route) || [leaderOnly, repeatable, redirect, read, onLost, idempotent].some((mark) => isSet(mark))
}

function outerOf (scope: FastifyInstance): FastifyInstance | null {
  const outer = Object.getPrototypeOf(scope) as FastifyInstance
  return 'addHook' in outer ? outer : null
}

function refuse (routes: readonly string[]): void {
  if (routes.length === 0) return
  throw new InvalidOptionsError(
    `forward, leaderOnly and the other marks would have no effect on ${routes.join(', ')}: ` +
      'declare all routes after `await app.register(cluster)`, in the same scope or inside it'
  )
}

/** A line of Fastify's tree of routes: indentation by steps of four, a part of the path, the methods. */
const treeLine = /^(?<indent>[│ ]*)[├└]── (?<part>.*?)(?: \((?<methods>[A-Z-]+(?:, [A-Z-]+)*)\))?(?: \{.*\})?$/

/** The routes of a printed tree, as method and path. */
function routesIn (tree: string): string[] {
  const routes: string[] = []
  const path: string[] = []
  for (const line of tree.split('\n')) {
    const { indent = '', part = '', methods } = treeLine.exec(line)?.groups ?? {}
    if (part === '') continue
    path.splice(indent.length / 4, Infinity, part)
    if (methods !== undefined && methods !== 'OPTIONS') routes.push(`${methods.replace(', HEAD', '')} ${path.join('')}`)
  }
  return routes
}
