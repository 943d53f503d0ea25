import type { FastifyError, FastifyInstance, FastifyRequest, FastifySchemaCompiler } from 'fastify'
import type { TSchema } from 'typebox'
import { Compile } from 'typebox/compile'
import Value from 'typebox/value'
import { clusterHeader } from '../../gateway/internal.ts'
import { InternalError, InvalidRequestError, isRaftError, TooLargeError } from '../../raft/index.ts'
import type { Refusal } from '../../raft/internal.ts'
import { sendRefusal, setClusterHeaders } from '../routes/answers.ts'
import { clientLimits } from './client-requests.ts'
import type { V1Options } from './options.ts'
import { addProofs } from './proofs.ts'

/**
 * Makes a scope independent of what the application has set up around it: parsers, validators, serializers and error
 * handlers are inherited otherwise, and our routes must answer alike in every application.
 */
export function isolateScope (scope: FastifyInstance, { cluster, clients, guards, logger }: V1Options): void {
  const { engine, verifier } = guards
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
  scope.setErrorHandler((error: FastifyError, request, reply) => {
    const refusal = refusalOf(error, request)
    if (refusal instanceof InternalError) logger.error({ err: error, url: request.url }, 'a cluster route failed')
    return sendRefusal(reply, cluster, refusal)
  })
  scope.addHook('onRequest', clients.bounded)
  scope.addHook('onSend', clients.answered)
  scope.addHook('onRequest', (_request, reply, done) => {
    setClusterHeaders(reply, cluster)
    const uuid = engine.clusterUuid()
    if (uuid !== undefined) reply.header(clusterHeader, uuid)
    done()
  })
  addProofs(scope, verifier)
}

const compileValidator: FastifySchemaCompiler<TSchema> = ({ schema, httpPart }) => {
  const validator = Compile(schema)
  return (value: unknown) => {
    // Only queries carry numbers as text: a body says what it means, and headers and paths are text.
    const candidate = httpPart === 'querystring' ? Value.Convert(schema, value) : value
    if (validator.Check(candidate)) return { value: candidate }
    const faults = validator
      .Errors(candidate)
      .map((error) => `${httpPart ?? 'request'}${error.instancePath} ${error.message}`)
    return { error: new InvalidRequestError(faults.join('; ')) }
  }
}

function refusalOf (error: FastifyError, request: FastifyRequest): Refusal {
  if (error.code === 'FST_ERR_CTP_BODY_TOO_LARGE') {
    return new TooLargeError(`The body is larger than ${request.routeOptions.bodyLimit} bytes`)
  }
  // From inside a route, a wrong option is the client's: the options of the plugin were checked at start.
  if (error.code === 'RAFT_INVALID_OPTIONS') return new InvalidRequestError(error.message)
  const { statusCode = 500, message } = error
  // Any other status than 500 was meant: a hook of the application may refuse the request (401, 429, 503).
  return isRaftError(error) || (statusCode >= 400 && statusCode !== 500)
    ? { statusCode, code: error.code ?? codeOf(statusCode), message }
    : new InternalError('The request failed; the log of the node says why')
}

/** The code of a refusal by the application that has none. */
function codeOf (statusCode: number): string {
  switch (statusCode) {
    case 401:
    case 403: return 'RAFT_UNAUTHORIZED'
    case 429:
    case 503: return 'RAFT_BUSY'
    default: return 'RAFT_INVALID_REQUEST'
  }
}
