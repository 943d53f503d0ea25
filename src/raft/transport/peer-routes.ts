import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Message, NodeId } from '../core/index.ts'
import type { Member } from '../engine.ts'
import {
  InternalError,
  MisdirectedError,
  NoSuchRouteError,
  StoppedError,
  UnauthorizedError,
  UnsupportedTypeError
} from '../errors.ts'
import type { Refusal } from '../runtime/refusal.ts'
import { errorText } from '../runtime/refusal.ts'
import { decodeEnvelope } from '../state/command-envelope.ts'
import type { Address } from './codec.ts'
import { decodeCommands, decodeMessages, decodeUrls, encodeForwardAnswer, encodeMessages, encodeUrls } from './codec.ts'
import { readBody, sendBody } from './http-body.ts'
import { lanePaths } from './http-peer.ts'
import { cameThroughProxy } from './proxy-fields.ts'
import type { RequestHandler } from './request-filter.ts'
import { decodeSnapshotChunk, encodeSnapshotReply } from './snapshot-codec.ts'
import type { ClusterIdentity, HopKeyring, PeerEndpoint, PeerIdentities } from './transport.ts'

interface PeerRoutesOptions {
  readonly clusterId: string
  readonly nodeId: NodeId
  readonly incarnations: PeerIdentities
  readonly cluster: ClusterIdentity
  readonly hopKeys: HopKeyring
  readonly basePath: string
  readonly maxBodyBytes: number
  /** Whether a caller with this remote address may be a peer. */
  readonly acceptRemoteAddress: (address: string | undefined) => boolean
  readonly endpoint: PeerEndpoint
  /** Takes what another node says of the URLs of members, and returns what this node knows of them. */
  readonly exchangeUrls: (address: Address, members: readonly Member[]) => readonly Member[]
}

/** Answers the body of one kind of request; an error answers with its status code. */
type Answer = (body: Uint8Array) => Uint8Array | Promise<Uint8Array>

const contentType = 'application/octet-stream'

/**
 * Builds the routes that peers call, on the bare HTTP server: no hook, parser or error handler of the application can
 * slow or refuse what holds the cluster together, and a request with every batch of every write costs what it must.
 */
export function createPeerRoutes (options: PeerRoutesOptions): RequestHandler {
  const { endpoint, nodeId } = options
  const routes = createAnswers(options)

  return (request, response) => {
    const answer = routes.get(request.url ?? '')
    if (answer === undefined || request.method !== 'POST' || !endpoint.expectsPeers) {
      refuse(request, response, new NoSuchRouteError())
    } else if (!options.acceptRemoteAddress(request.socket.remoteAddress)) {
      refuse(request, response, new UnauthorizedError('Peers on other machines are not accepted'))
    } else if (cameThroughProxy(request.rawHeaders)) {
      refuse(request, response, new UnauthorizedError(
        'Peers call each other without a proxy in between: the url of a member has to lead to its node'
      ))
    } else if (!endpoint.isRunning) {
      refuse(request, response, new StoppedError(nodeId))
    } else if (request.headers['content-type'] !== contentType) {
      refuse(request, response, new UnsupportedTypeError(contentType))
    } else {
      readBody(request, options.maxBodyBytes).then(answer).then(
        (body) => { sendBody(response, 200, contentType, body) },
        (error: unknown) => { refuse(request, response, error) }
      )
    }
  }
}

/** What each route answers, by its path. */
function createAnswers (options: PeerRoutesOptions): ReadonlyMap<string, Answer> {
  const { endpoint, basePath, clusterId, nodeId, incarnations, cluster, hopKeys } = options

  const check = (address: Address, content: readonly Message[] | 'snapshot'): void => {
    if (address.clusterId !== clusterId) throw new MisdirectedError(`a message of cluster ${address.clusterId}`)
    if (address.to !== nodeId) throw new MisdirectedError(`a message for node ${address.to}`)
    cluster.checkRequest(address, content === 'snapshot' ? [] : content)
    incarnations.checkRequest(address, content)
  }

  // Made when the answer is ready: it says what this node knows of its cluster by then.
  const backTo = ({ from, incarnation }: Address): Address => ({
    clusterId,
    from: nodeId,
    to: from,
    incarnation: incarnations.own,
    expectedIncarnation: incarnation,
    cluster: cluster.mark()
  })

  const receive: Answer = (body) => {
    const { address, messages, hopKey } = decodeMessages(body)
    check(address, messages)
    hopKeys.learn(address.from, hopKey)
    return endpoint.receive(messages).then((answers) => encodeMessages(backTo(address), answers))
  }

  const propose: Answer = (body) => {
    const { address, commands } = decodeCommands(body)
    check(address, [])
    // Refused here, a malformed command never reaches the log, where it would halt every node.
    for (const command of commands) decodeEnvelope(command)
    return encodeForwardAnswer(backTo(address), endpoint.acceptForwarded(address.from, commands))
  }

  const receiveSnapshot: Answer = async (body) => {
    const { address, chunk } = decodeSnapshotChunk(body)
    check(address, 'snapshot')
    const reply = await endpoint.receiveSnapshot(address.from, chunk)
    return encodeSnapshotReply(backTo(address), reply)
  }

  const exchangeUrls: Answer = (body) => {
    const { address, members } = decodeUrls(body)
    check(address, [])
    return encodeUrls(backTo(address), options.exchangeUrls(address, members))
  }

  return new Map<string, Answer>([
    [basePath + lanePaths.control, receive],
    [basePath + lanePaths.append, receive],
    [basePath + lanePaths.propose, propose],
    [basePath + lanePaths.snapshot, receiveSnapshot],
    [basePath + lanePaths.urls, exchangeUrls]
  ])
}

/** The same body as every other error answer, without the leader: a peer knows better. */
function refuse (request: IncomingMessage, response: ServerResponse, error: unknown): void {
  const refusal = refusalOf(error)
  // What has not been read of the body is not worth a connection, nor is one to a node that has stopped.
  if (!request.complete || refusal.statusCode === 503) response.setHeader('connection', 'close')
  request.resume()
  sendBody(response, refusal.statusCode, 'application/json; charset=utf-8', Buffer.from(errorText(refusal)))
}

function refusalOf (error: unknown): Refusal {
  const { statusCode = 500, code, message = String(error) } = error as Partial<Refusal>
  return code === undefined ? new InternalError(message) : { statusCode, code, message }
}
