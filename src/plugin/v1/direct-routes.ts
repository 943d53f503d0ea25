import type { IncomingMessage, ServerResponse } from 'node:http'
import type { FastifyReply } from 'fastify'
import Fastify from 'fastify'
import { InvalidRequestError, NotFoundError } from '../../raft/index.ts'
import { errorHeaders, errorText } from '../../raft/internal.ts'
import { sendRefusal } from '../routes/answers.ts'
import type { V1Options } from './options.ts'
import { nodeRoutes } from './routes.ts'

/** Paths below `v1` that {@link DirectRoutes} answers, beside all below `members/`. */
const directPaths = ['livez', 'readyz', 'leader', 'leader/self', 'status', 'watch', 'members'] as const

/** Routes that are served before the application. */
export interface DirectRoutes {
  /** Answers a request to one of these routes and returns true, or leaves it alone and returns false. */
  readonly answers: (request: IncomingMessage, response: ServerResponse) => boolean
  readonly close: () => Promise<void>
}

/**
 * Serves what nodes, gateways and orchestrators ask, in an instance of Fastify of its own: no hook, parser, error
 * handler or `rewriteUrl` of the application gets in between, and no line of log is written for each request. The
 * application has the same routes, for `inject` and for its OpenAPI document.
 */
export async function openDirectRoutes (options: V1Options): Promise<DirectRoutes> {
  const { path, guards, cluster } = options
  const own = Fastify({
    // A path that cannot be decoded has met neither route nor hook: nobody has asked yet who the client is.
    frameworkErrors: ({ message }, _request, reply: FastifyReply) => {
      const refusal = new InvalidRequestError(message)
      reply.code(refusal.statusCode).headers(errorHeaders(refusal)).send(errorText(refusal))
    }
  })
  own.setNotFoundHandler((_request, reply) =>
    sendRefusal(reply, cluster, new NotFoundError('The cluster has no such route')))
  await own.register(nodeRoutes, { prefix: path, ...options })
  await own.ready()
  const prefix = `${path}/`
  const exact = new Set(directPaths.map((name) => prefix + name))
  const belowMembers = `${prefix}members/`
  return {
    answers: (request, response) => {
      const { url } = request
      if (url?.startsWith(prefix) !== true) return false
      const queryAt = url.indexOf('?')
      if (!exact.has(queryAt === -1 ? url : url.slice(0, queryAt)) && !url.startsWith(belowMembers)) return false
      // A closing server waits for its connections, and gateways would keep theirs open for ever.
      if (guards.closing()) response.shouldKeepAlive = false
      own.routing(request, response)
      return true
    },
    close: async () => { await own.close() }
  }
}
