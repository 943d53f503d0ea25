import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest, FastifySchemaCompiler } from 'fastify'
import type { TSchema } from 'typebox'
import { clockHeader, clusterHeader, schemaFaults, withNumbers } from '../../gateway/internal.ts'
import { InternalError, InvalidRequestError, isRaftError, TooLargeError } from '../../raft/index.ts'
import type { Refusal } from '../../raft/internal.ts'
import { systemClock } from '../../raft/internal.ts'
import { sendRefusal, setClusterHeaders } from '../routes/answers.ts'
import { clientLimits } from './client-requests.ts'
import type { V1Options } from './options.ts'
import { addProofs } from './proofs.ts'

/**
 * Makes a scope independent of what the application has set up around it: parsers, validators, serializers and error
 * handlers are inherited otherwise, and our routes must answer alike in every application.
 */
export function isolateScope (scope: FastifyInstance, { cluster, clients, guards, logger }: V1Options): void {
  const { engine, verifier, clock = systemClock } = guards
  scope.removeAllContentTypeParsers()
  scope.addContentTypeParser(
    'application/json',
    { parseAs: 'string' },
    scope.getDefaultJsonParser('error', 'error')
  )
  scope.addHook('onRoute', (route) => { route.bodyLimit ??= clientLimits.maxBodyBytes })
  scope.setValidatorCompiler(compileValidator)
  scope.setSerializerCompiler(() => (data) => JSON.stringify(data))
  scope.setReplySerializer((payload) => JSON.stringify(payload))
  scope.setErrorHandler((error: ThrownError, request, reply) => {
    const refusal = refusalOf(error, request, reply)
    const isFailure = refusal.statusCode === 500 && !isRaftError(error)
    // Without the query: somebody may have put a token there.
    const [path] = request.url.split('?', 1)
    if (isFailure) logger.error({ err: error, path }, 'a cluster route failed')
    // As Fastify does it: whoever refuses may say so, for how long in `retry-after` for instance.
    if (error.headers !== undefined) reply.headers(error.headers)
    return sendRefusal(reply, cluster, refusal)
  })
  scope.addHook('onRequest', clients.bounded)
  scope.addHook('onSend', clients.answered)
  scope.addHook('onRequest', (_request, reply, done) => {
    setClusterHeaders(reply, cluster)
    const uuid = engine.clusterUuid()
    if (uuid !== undefined) reply.header(clusterHeader, uuid)
    reply.header(clockHeader, Math.floor(clock.monotonicMs()))
    done()
  })
  addProofs(scope, verifier)
}

const compileValidator: FastifySchemaCompiler<TSchema> = ({ schema, httpPart }) => (value: unknown) => {
  // Only queries carry numbers as text: a body says what it means, and headers and paths are text.
  const candidate = httpPart === 'querystring' ? withNumbers(schema, value) : value
  const faults = schemaFaults(schema, candidate)
  if (faults.length === 0) return { value: candidate }
  const texts = faults.map(({ pointer, message }) => `${httpPart ?? 'request'}${pointer} ${message}`)
  return { error: new InvalidRequestError(texts.join('; ')) }
}

/** What a route or a hook of the application has thrown. */
type ThrownError = FastifyError & { readonly status?: unknown, readonly headers?: Readonly<Record<string, string>> }

function refusalOf (error: ThrownError, request: FastifyRequest, reply: FastifyReply): Refusal {
  if (error.code === 'FST_ERR_CTP_BODY_TOO_LARGE') {
    return new TooLargeError(`The body is larger than ${request.routeOptions.bodyLimit} bytes`)
  }
  // From inside a route, a wrong option is the client's: the options of the plugin were checked at start.
  if (error.code === 'RAFT_INVALID_OPTIONS') return new InvalidRequestError(error.message)
  const isOwn: boolean = isRaftError(error)
  const statusCode = isOwn ? error.statusCode ?? 500 : statusOf(error, reply)
  const { message } = error
  // What Fastify's parser does not take for JSON, or is sent as something else, has a code of Fastify.
  const code = error.code?.startsWith('FST_ERR_CTP_') === true ? codeOf(statusCode) : error.code ?? codeOf(statusCode)
  // Any other status than 500 was meant: a hook of the application may refuse the request (401, 429, 503).
  if (isOwn || statusCode !== 500) return { statusCode, code, message }
  const failure = new InternalError('The request failed; the log of the node says why')
  // Who names the status has meant the code too; without one it is that of some call inside.
  return error.statusCode === 500 ? { statusCode, code, message: failure.message } : failure
}

/** By the rules of Fastify: what was set on the reply, then what the error says. */
function statusOf ({ statusCode, status }: ThrownError, reply: FastifyReply): number {
  const isOfError = (value: unknown): value is number => typeof value === 'number' && value >= 400 && value <= 599
  return [reply.statusCode, statusCode, status].find(isOfError) ?? 500
}

/** The code of a refusal by the application that has none. */
function codeOf (statusCode: number): string {
  switch (statusCode) {
    case 401:
    case 403: return 'RAFT_UNAUTHORIZED'
    case 429:
    case 503: return 'RAFT_BUSY'
    case 500: return 'RAFT_INTERNAL'
    default: return 'RAFT_INVALID_REQUEST'
  }
}
