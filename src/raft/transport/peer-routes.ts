import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Message, NodeId } from '../core/index.ts'
import type { Member } from '../engine.ts'
import {
  BusyError,
  InternalError,
  MalformedMessageError,
  MisdirectedError,
  NoSuchRouteError,
  OtherSecretError,
  RequestTimeoutError,
  StoppedError,
  TooLargeError,
  UnauthenticatedError,
  UnauthorizedError,
  UnsupportedTypeError,
  WrongCertificateError
} from '../errors.ts'
import type { Refusal } from '../runtime/refusal.ts'
import { errorText } from '../runtime/refusal.ts'
import type { CommandEnvelope } from '../state/command-envelope.ts'
import { decodeEnvelope } from '../state/command-envelope.ts'
import { IncomingSessions } from '../trust/incoming-sessions.ts'
import type { PeerCertificates } from '../trust/peer-certificates.ts'
import type { RefusalLog } from '../trust/refusal-log.ts'
import { sealField } from '../trust/seal-field.ts'
import type { Secrets } from '../trust/secret.ts'
import type { Address } from './codec.ts'
import { decodeCommands, decodeMessages, decodeUrls, encodeForwardAnswer, encodeMessages, encodeUrls } from './codec.ts'
import { sendBody } from './http-body.ts'
import { helloPath, lanePaths } from './http-peer.ts'
import { IncomingBodies } from './incoming-bodies.ts'
import type { BodyLimits } from './peer-limits.ts'
import { peerLimits } from './peer-limits.ts'
import type { NoteListener } from './peer-notes.ts'
import { cameThroughProxy } from './proxy-fields.ts'
import type { RequestHandler } from './request-filter.ts'
import { decodeSnapshotChunk, encodeSnapshotReply } from './snapshot-codec.ts'
import type { ClusterIdentity, NonceExchange, PeerEndpoint, PeerIdentities } from './transport.ts'

interface PeerRoutesOptions {
  readonly clusterId: string
  readonly nodeId: NodeId
  readonly incarnations: PeerIdentities
  readonly cluster: ClusterIdentity
  readonly nonces: NonceExchange
  readonly basePath: string
  /** Whether a caller with this remote address may be a peer. */
  readonly acceptRemoteAddress: (address: string | undefined) => boolean
  /** What peers prove that they belong with; null: they are not authenticated. */
  readonly secrets: Secrets | null
  /** Judges the certificates that peers have to show; null: they need none. */
  readonly certificates: PeerCertificates | null
  /** Gets what could not prove who it comes from. */
  readonly refusals: RefusalLog
  readonly endpoint: PeerEndpoint
  /** Takes what another node says of the URLs of members, and returns what this node knows of them. */
  readonly exchangeUrls: (address: Address, members: readonly Member[]) => readonly Member[]
  /** Takes a note of a member; null while nobody does. */
  readonly noteListener: () => NoteListener | null
  /** {@link peerLimits} when left out. */
  readonly limits?: BodyLimits
}

/** What is proven of the sender of a request. Null: peers do not prove it in this way. */
interface Proof {
  /** Who made the seal. */
  readonly sealedBy: NodeId | null
  /** Whom the certificate of the connection was issued for. */
  readonly certified: ReadonlySet<string> | null
}

/** Answers the body of one kind of request; an error answers with its status code. */
type Answer = (body: Uint8Array, proof: Proof) => Uint8Array | Promise<Uint8Array>

/** One kind of request. */
interface Route {
  readonly answer: Answer
  /** Size of the largest body. */
  readonly maxBytes: number
}

/** Serves one kind of request from its first byte; rejects with the refusal. */
type Serve = (
  request: IncomingMessage,
  certified: ReadonlySet<string> | null
) => Promise<{ readonly body: Uint8Array, readonly seal: string | null }>

const contentType = 'application/octet-stream'

/** Refusals that an operator should hear of. Anybody may cause them, so they are counted and not logged one by one. */
const reported = [
  OtherSecretError,
  UnauthenticatedError,
  WrongCertificateError,
  BusyError,
  RequestTimeoutError,
  TooLargeError
] as const

/**
 * Builds the routes that peers call, on the bare HTTP server: no hook, parser or error handler of the application can
 * slow or refuse what holds the cluster together, and a request with every batch of every write costs what it must.
 */
export function createPeerRoutes (options: PeerRoutesOptions): RequestHandler {
  const { endpoint, nodeId } = options
  const bodies = new IncomingBodies(options.limits ?? peerLimits)
  const routes = options.secrets === null
    ? openRoutes(options, bodies)
    : provenRoutes(options, bodies, options.secrets)
  const serveCertified = async (serve: Serve, request: IncomingMessage): ReturnType<Serve> => (
    await serve(request, options.certificates?.prove(request.socket) ?? null)
  )

  return (request, response) => {
    const serve = routes.get(request.url ?? '')
    if (serve === undefined || request.method !== 'POST' || !endpoint.expectsPeers) {
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
      serveCertified(serve, request).then(
        ({ body, seal }) => {
          if (seal !== null) response.setHeader(sealField, seal)
          sendBody(response, 200, contentType, body)
        },
        (error: unknown) => {
          if (reported.some((kind) => error instanceof kind)) {
            options.refusals.add(error as Error & { readonly code: string }, request.socket.remoteAddress)
          }
          refuse(request, response, error)
        }
      )
    }
  }
}

/** Judges the sender of a request by its address, and by what proves it. Throws the refusal. */
function createCheck (
  { clusterId, nodeId, incarnations, cluster }: PeerRoutesOptions
): (address: Address, content: readonly Message[] | 'snapshot', proof: Proof) => void {
  return (address, content, { sealedBy, certified }) => {
    if (sealedBy !== null && sealedBy !== address.from) {
      throw new UnauthenticatedError(`"${sealedBy}" sends in the name of "${address.from}"`)
    }
    if (certified !== null && !certified.has(address.from)) {
      throw new WrongCertificateError(`that of ${[...certified].join(', ')} sends in the name of "${address.from}"`)
    }
    if (address.clusterId !== clusterId) throw new MisdirectedError(`a message of cluster ${address.clusterId}`)
    if (address.to !== nodeId) throw new MisdirectedError(`a message for node ${address.to}`)
    // The core counts on it: what breaks its rules stops the node.
    if (address.from === nodeId) throw new MisdirectedError(`a message in the name of ${nodeId} itself`)
    cluster.checkRequest(address, content === 'snapshot' ? [] : content)
    incarnations.checkRequest(address, content)
  }
}

/** What each route answers, by its path. */
function createAnswers (options: PeerRoutesOptions): ReadonlyMap<string, Route> {
  const { endpoint, basePath, clusterId, nodeId, incarnations, cluster, nonces } = options

  const check = createCheck(options)
  // Made when the answer is ready: it says what this node knows of its cluster by then.
  const backTo = ({ from, incarnation }: Address): Address => ({
    clusterId,
    from: nodeId,
    to: from,
    incarnation: incarnations.own,
    expectedIncarnation: incarnation,
    cluster: cluster.mark()
  })

  const receive: Answer = (body, proof) => {
    const { address, messages, nonce, clockMs } = decodeMessages(body)
    check(address, messages, proof)
    nonces.learn(address.from, nonce)
    nonces.clocks?.note(address.from, messages[0]?.term ?? 0, clockMs)
    return endpoint.receive(messages).then((answers) => encodeMessages(backTo(address), answers))
  }

  const propose: Answer = (body, proof) => {
    const { address, commands } = decodeCommands(body)
    check(address, [], proof)
    // Refused here, a malformed command never reaches the log, where it would halt every node.
    for (const command of commands) refuseCommandOfLeader(decodeEnvelope(command))
    return encodeForwardAnswer(backTo(address), endpoint.acceptForwarded(address.from, commands))
  }

  const receiveSnapshot: Answer = async (body, proof) => {
    const { address, chunk } = decodeSnapshotChunk(body)
    check(address, 'snapshot', proof)
    const reply = await endpoint.receiveSnapshot(address.from, chunk)
    return encodeSnapshotReply(backTo(address), reply)
  }

  const exchangeUrls: Answer = (body, proof) => {
    const { address, members } = decodeUrls(body)
    check(address, [], proof)
    return encodeUrls(backTo(address), options.exchangeUrls(address, members))
  }

  const takeNotes: Answer = (body, proof) => {
    const { address, commands: notes } = decodeCommands(body)
    check(address, [], proof)
    const listener = options.noteListener()
    if (listener === null) throw new NoSuchRouteError()
    for (const note of notes) listener(address.from, note)
    return encodeMessages(backTo(address), [])
  }

  const { maxControlBytes, maxAppendBytes, maxProposeBytes, maxSnapshotBytes, maxUrlsBytes } = peerLimits
  return new Map<string, Route>([
    [basePath + lanePaths.control, { answer: receive, maxBytes: maxControlBytes }],
    [basePath + lanePaths.append, { answer: receive, maxBytes: maxAppendBytes }],
    [basePath + lanePaths.propose, { answer: propose, maxBytes: maxProposeBytes }],
    [basePath + lanePaths.snapshot, { answer: receiveSnapshot, maxBytes: maxSnapshotBytes }],
    [basePath + lanePaths.urls, { answer: exchangeUrls, maxBytes: maxUrlsBytes }],
    [basePath + lanePaths.notes, { answer: takeNotes, maxBytes: peerLimits.maxNotesBytes }]
  ])
}

/** Followers pass on what their clients propose. The clock and the hashes of the state are the leader's own entries. */
function refuseCommandOfLeader ({ kind }: CommandEnvelope): void {
  switch (kind) {
    case 'open':
    case 'command': return
    case 'checkpoint':
    case 'clock': throw new MalformedMessageError(`only a leader writes a ${kind}`)
  }
}

/** The routes of peers that are not authenticated. */
function openRoutes (options: PeerRoutesOptions, bodies: IncomingBodies): ReadonlyMap<string, Serve> {
  return new Map([...createAnswers(options)].map(([path, { answer, maxBytes }]) => [
    path,
    (request, certified) => bodies.take(request, addressOf(request), maxBytes, async (body) => (
      { body: await answer(body, { sealedBy: null, certified }), seal: null }
    ))
  ]))
}

/** The routes of peers that prove each request, and the one for the handshake. */
function provenRoutes (
  options: PeerRoutesOptions,
  bodies: IncomingBodies,
  secrets: Secrets
): ReadonlyMap<string, Serve> {
  const { clusterId, nodeId, basePath } = options
  const sessions = new IncomingSessions({ clusterId, nodeId, secrets })
  const routes = new Map<string, Serve>([...createAnswers(options)].map(([path, { answer, maxBytes }]) => [
    path,
    async (request, certified) => {
      const field = request.headers[sealField]
      // First: what a stranger sends is not worth reading. With the address: somebody who has only seen the name of the
      // session uses up nothing that is its owner's.
      const sender = `"${sessions.claimedSender(field)}" at ${addressOf(request)}`
      return await bodies.take(request, sender, maxBytes, async (body) => {
        const proven = sessions.prove(field, path, body)
        const answered = await answer(body, { sealedBy: proven.from, certified })
        return { body: answered, seal: proven.sealAnswer(200, answered) }
      })
    }
  ]))
  routes.set(basePath + helloPath, (request) =>
    bodies.take(request, addressOf(request), peerLimits.maxHelloBytes, (body) => (
      { body: sessions.welcome(body), seal: null }
    )))
  return routes
}

function addressOf ({ socket }: IncomingMessage): string {
  return socket.remoteAddress ?? ''
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
