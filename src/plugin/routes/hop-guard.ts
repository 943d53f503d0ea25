import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http'
import type { Attempt, Hop } from '../../gateway/internal.ts'
import {
  checkHop,
  endOfHop,
  endResponse,
  formatNotExecuted,
  isForeign,
  notExecutedHeader,
  readTokenHeader,
  withRefusalProof
} from '../../gateway/internal.ts'
import type { Clock, Engine } from '../../raft/index.ts'
import { DeadlinePassedError, MisdirectedError, NotLeaderError, StoppedError } from '../../raft/index.ts'
import type { OpenRequests, ProofRole, Refusal } from '../../raft/internal.ts'
import {
  claimedRole,
  errorHeaders,
  errorText,
  nonceField,
  otherClusterError,
  systemClock
} from '../../raft/internal.ts'
import type { Cluster } from '../cluster/cluster.ts'
import { lingerOverBody } from './answers.ts'
import { HeadGuard, markRefusal } from './head-guard.ts'
import type { InternalFields } from './internal-fields.ts'
import { takeInternalFields } from './internal-fields.ts'
import type { ProofContext } from './proofs.ts'
import { judgeProof, noteCertified, proofOf } from './proofs.ts'
import { noteRepeat } from './repeats.ts'
import { RequestNotes } from './request-notes.ts'

/** What the guards of a node work with. */
export interface GuardContext extends ProofContext {
  readonly engine: Engine
  readonly cluster: Cluster
  /** Whether the node is closing: it serves what it has begun, and nothing new that was forwarded to it. */
  readonly closing: () => boolean
  /** Told of who forwards here. */
  readonly requests: Pick<OpenRequests, 'addForwarder'>
  /** The clocks of this process when left out. */
  readonly clock?: Clock
}

/** What the internal fields of a request said; they are off it by now. */
interface Arrival {
  /** Whether a node or a gateway forwarded it to this cluster, or it claims so. */
  readonly isForwarded: boolean
  readonly hop: Hop | null
  readonly attempt: Attempt | null
  readonly meantCluster: string | undefined
  readonly readToken: string | undefined
  /** Who proves it, or claims to. */
  readonly role: ProofRole
  /** From when on its sender has given up, on the monotonic clock. */
  readonly endsAtMs: number
  readonly clock: Clock
}

const arrivals = new RequestNotes<Arrival>('arrival')

/** Whether another node or a gateway forwarded the request to this node, or the request claims so. */
export function cameByHop (req: IncomingMessage): boolean {
  return arrivals.of(req)?.isForwarded === true
}

/**
 * Whether a forwarded request is served by nobody any more: the time that its sender gave it is over, or the sender has
 * cut its connection. Only to be asked before its handler runs.
 */
export function isGivenUp (req: IncomingMessage, res: ServerResponse): boolean {
  const arrival = arrivals.of(req)
  if (arrival?.isForwarded !== true) return false
  return res.destroyed || (arrival.endsAtMs !== Infinity && arrival.clock.monotonicMs() >= arrival.endsAtMs)
}

/** Which attempt of a gateway the request is, when it has no hop; null for other requests. */
export function attemptOf (req: IncomingMessage): Attempt | null {
  return arrivals.of(req)?.attempt ?? null
}

/** The read token that came with the request; undefined when there was none. */
export function readTokenValueOf (req: IncomingMessage): string | undefined {
  const arrival = arrivals.of(req)
  // `inject` goes past the server, where the fields are taken off.
  return arrival === undefined ? req.headers[readTokenHeader]?.toString() : arrival.readToken
}

/** The UUID of the cluster that a call of another node is meant for; undefined when the request names none. */
export function meantClusterOf (req: IncomingMessage): string | undefined {
  return arrivals.of(req)?.meantCluster
}

/**
 * Takes the internal fields off a request, and lets a forwarded one through only if it was meant for this node, this
 * node leads in the very term the sender meant, and, where that can be proven, a member or a gateway sent it. Answers
 * everything else "not executed", and then returns true: the sender may send it again, whatever its method. What was
 * meant for another cluster is a request like any other here, unless it carries a proof: the sender would not believe a
 * refusal, and somebody in between has passed it on.
 *
 * Works on the server itself, before Fastify: so it holds for every route, for requests that Fastify turns away because
 * it closes, and costs requests that were not forwarded one look at the names of their fields.
 */
export function guardHops (context: GuardContext): (req: IncomingMessage, res: ServerResponse) => boolean {
  const heads = new HeadGuard(context.cluster.nodeId, context.closing)
  const { clock = systemClock } = context
  return (req, res) => {
    const fields = takeInternalFields(req)
    if (fields === null) {
      noteCertified(context, req)
      return context.closing() && guardWhileClosing(context, req, res, null)
    }
    const uuid = context.engine.clusterUuid()
    const { hop, meantCluster, readToken, unknownField } = fields
    if (unknownField !== null) context.forged.note(unknownField, req.socket.remoteAddress)
    const isForwarded = fields.hopValue !== undefined && (hop === null || !isForeign(hop, uuid))
    const attempt = fields.attempt === null || isForeign(fields.attempt, uuid) ? null : fields.attempt
    const role = claimedRole(fields.proofValue)
    const endsAtMs = hop === null ? Infinity : endOfHop(hop, clock.monotonicMs())
    arrivals.set(req, { isForwarded, hop, attempt, meantCluster, readToken, role, endsAtMs, clock })
    // What is sent to any node comes on the same connections.
    if (isForwarded || attempt !== null) context.requests.addForwarder(req)
    if (isForwarded) {
      if (!admitHop(context, fields, req, res)) return true
      heads.guard(res)
      return false
    }
    const refusal = refusalOf(context, fields, req)
    if (refusal !== null) {
      refuse(context, { req, res, refusal, attempt: fields.attempt })
      return true
    }
    return context.closing() && guardWhileClosing(context, req, res, attempt)
  }
}

/** The reason why a request is not served whose fields are no hop to this cluster; null when it is. */
function refusalOf (context: GuardContext, fields: InternalFields, req: IncomingMessage): Refusal | null {
  const { hop, proofValue } = fields
  if (proofValue === undefined && hop !== null) return null
  if (hop === null) return judgeProof(context, req, fields)
  // Sent right here by a node of the other cluster: taken for a plain request, its client would be the wrong one.
  const { clusterId, nodeId } = context.cluster
  const [meant, own] = [hop.cluster ?? '', context.engine.clusterUuid() ?? '']
  return otherClusterError(clusterId, ['the sender', meant], [`"${nodeId}"`, own]) as Error & Refusal
}

function admitHop (
  context: GuardContext,
  fields: InternalFields,
  req: IncomingMessage,
  res: ServerResponse
): boolean {
  const { hop } = fields
  const { nodeId } = context.cluster
  // First: a refusal is proven with the proof that is taken here, and that counts once. Where it tells of a client, the
  // fields of the request are that client's own: to take the sender for the client would let it choose its address.
  const refusal = judgeProof(context, req, fields)
  if (refusal !== null) {
    refuse(context, { req, res, refusal, attempt: hop })
    return false
  }
  const leadership = context.closing() ? null : context.engine.currentLeadership()
  if (checkHop(hop, { nodeId, leadership }) === 'not-executed' || isGivenUp(req, res)) {
    refuseHop(context, req, res)
    return false
  }
  if (hop?.keyed === true) noteRepeat(req, res)
  return true
}

/**
 * A request that no hop names, on a node that closes. Fastify refuses it, and a gateway would not know that nothing was
 * executed: a read that it sent to any node is refused so that it goes on to the leader.
 */
function guardWhileClosing (
  context: GuardContext,
  req: IncomingMessage,
  res: ServerResponse,
  attempt: Attempt | null
): boolean {
  if (attempt !== null) {
    refuse(context, { req, res, refusal: new StoppedError('it is closing'), attempt })
    return true
  }
  lingerOverBody(req, res)
  return false
}

/** Answers that the forwarded request was not executed. Only true while no handler has run. */
export function refuseHop (context: GuardContext, req: IncomingMessage, res: ServerResponse): void {
  const { nodeId } = context.cluster
  const hop = arrivals.of(req)?.hop ?? null
  refuse(context, { req, res, refusal: refusalOfHop(hop, nodeId, isGivenUp(req, res)), attempt: hop })
}

function refusalOfHop (hop: Hop | null, nodeId: string, isGivenUp: boolean): Refusal {
  if (hop === null) return new MisdirectedError('the hop is malformed')
  if (hop.to !== nodeId) {
    return new MisdirectedError(`the request was forwarded to ${hop.to}, and this is ${nodeId}`)
  }
  return isGivenUp
    ? new DeadlinePassedError()
    : new NotLeaderError('the request was forwarded to it in a term it does not lead')
}

/** What says that a request was not executed. With a proof where the request had one: nobody else can say so then. */
export function notExecutedValue (
  { cluster, engine }: Pick<GuardContext, 'cluster' | 'engine'>,
  req: IncomingMessage,
  attempt: Attempt | null
): string {
  const value = formatNotExecuted(attempt, cluster.term, engine.clusterUuid())
  const proven = proofOf(req)
  return proven === null ? value : withRefusalProof(value, proven.proveRefusal(value))
}

interface RefusedRequest {
  readonly req: IncomingMessage
  readonly res: ServerResponse
  readonly refusal: Refusal
  readonly attempt: Attempt | null
}

function refuse ({ cluster, engine, verifier }: GuardContext, { req, res, refusal, attempt }: RefusedRequest): void {
  const body = Buffer.from(errorText(refusal, cluster))
  markRefusal(res)
  const headers: OutgoingHttpHeaders = {
    ...errorHeaders(refusal),
    'content-length': body.length,
    [notExecutedHeader]: notExecutedValue({ cluster, engine }, req, attempt),
    'raft-node': cluster.nodeId,
    'raft-term': String(cluster.term)
  }
  const nonce = verifier.tellsNonce(arrivals.of(req)?.role ?? 'member')
  if (nonce !== null) headers[nonceField] = nonce
  if (cluster.leaderEndpoint !== null) headers['raft-leader'] = cluster.leaderEndpoint
  res.writeHead(refusal.statusCode, headers)
  endResponse(req, res, req.method === 'HEAD' ? null : body)
}
