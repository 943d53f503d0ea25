import fastify from 'fastify'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Message, NodeId } from '../core/index.ts'
import { MisdirectedError, StoppedError, UnauthorizedError } from '../errors.ts'
import type { Incarnations } from '../incarnations.ts'
import { decodeCommands, decodeMessages, encodeForwardAnswer, encodeMessages } from './codec.ts'
import type { Address } from './codec.ts'
import { lanePaths } from './http-transport.ts'
import { decodeSnapshotPiece, encodeSnapshotReply } from './snapshot-codec.ts'
import type { PeerEndpoint } from './transport.ts'

export interface PeerRoutesOptions {
  readonly clusterId: string
  readonly nodeId: NodeId
  readonly incarnations: Incarnations
  readonly basePath: string
  readonly maxBodyBytes: number
  /** Whether a caller with this remote address may be a peer. */
  readonly acceptRemoteAddress: (address: string | undefined) => boolean
  readonly endpoint: PeerEndpoint
  readonly isRunning: () => boolean
}

const contentType = 'application/octet-stream'

/**
 * Builds the routes that peers call, as an instance of its own: no hook, parser or error handler of the application
 * can slow or refuse what holds the cluster together.
 */
export const createPeerRoutes = (options: PeerRoutesOptions): FastifyInstance => {
  const { endpoint, basePath, clusterId, nodeId, incarnations } = options
  const routes = fastify({ bodyLimit: options.maxBodyBytes, logger: false })
  routes.removeAllContentTypeParsers()
  routes.addContentTypeParser(contentType, { parseAs: 'buffer' }, (_request, body, done) => done(null, body))

  routes.addHook('onRequest', (request, reply, done) => {
    if (!options.acceptRemoteAddress(request.raw.socket.remoteAddress)) {
      done(new UnauthorizedError('Peers on other machines are not accepted'))
    } else if (!options.isRunning()) {
      reply.header('connection', 'close')
      done(new StoppedError(nodeId))
    } else done()
  })

  const check = (address: Address, said: readonly Message[] | 'snapshot'): Address => {
    if (address.clusterId !== clusterId) throw new MisdirectedError(`a message of cluster ${address.clusterId}`)
    if (address.to !== nodeId) throw new MisdirectedError(`a message for node ${address.to}`)
    incarnations.checkRequest(address, said)
    return { clusterId, from: nodeId, to: address.from, incarnation: incarnations.own, meant: address.incarnation }
  }

  const receive = async (request: FastifyRequest, reply: FastifyReply) => {
    const { address, messages } = decodeMessages(bodyOf(request))
    const back = check(address, messages)
    const answers = await endpoint.receive(messages)
    return reply.type(contentType).send(encodeMessages(back, answers))
  }

  routes.post(basePath + lanePaths.control, receive)
  routes.post(basePath + lanePaths.append, receive)
  routes.post(basePath + lanePaths.propose, async (request, reply) => {
    const { address, commands } = decodeCommands(bodyOf(request))
    const back = check(address, [])
    return reply.type(contentType).send(encodeForwardAnswer(back, endpoint.acceptForwarded(commands)))
  })
  routes.post(basePath + lanePaths.snapshot, async (request, reply) => {
    const { address, piece } = decodeSnapshotPiece(bodyOf(request))
    const back = check(address, 'snapshot')
    return reply.type(contentType).send(encodeSnapshotReply(back, await endpoint.receiveSnapshot(address.from, piece)))
  })
  return routes
}

const bodyOf = (request: FastifyRequest): Uint8Array =>
  request.body instanceof Uint8Array ? request.body : new Uint8Array(0)
