import type { Server } from 'node:http'
import type { FastifyInstance } from 'fastify'

/**
 * The servers beside `app.server` that Fastify opens when it listens on `localhost`: one for every further address of
 * that name. Fastify has no public name for them.
 */
export function secondaryServers (app: FastifyInstance): readonly Server[] {
  for (let around: object | null = app; around !== null; around = Object.getPrototypeOf(around) as object | null) {
    const name = Object.getOwnPropertySymbols(around).find((symbol) => symbol.description === 'fastify.serverBindings')
    if (name !== undefined) return (around as Record<symbol, readonly Server[]>)[name] ?? []
  }
  return []
}

/** Where the application listens, or null while it does not, or not on a port. */
export function listeningOrigin (app: FastifyInstance): string | null {
  const address = app.server.address()
  return address === null || typeof address === 'string' ? null : app.listeningOrigin
}
