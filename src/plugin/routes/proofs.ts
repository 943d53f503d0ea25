import type { IncomingMessage } from 'node:http'
import { hopHeader, isReservedTarget } from '../../gateway/internal.ts'
import type { Engine } from '../../raft/index.ts'
import { isRaftError, PeerSessionError, UnauthenticatedError, UnauthorizedError } from '../../raft/index.ts'
import type { ForgedFields, ProvenRequest, Refusal, RefusalLog, Verifier } from '../../raft/internal.ts'
import { proofField } from '../../raft/internal.ts'
import type { CertificateCallers } from './certificate-callers.ts'
import { showClient } from './client-socket.ts'
import type { InternalFields } from './internal-fields.ts'
import { noteCaller } from './proven-caller.ts'
import { noteRequestId } from './request-id.ts'
import { RequestNotes } from './request-notes.ts'

/** What proofs are judged with. */
export interface ProofContext {
  readonly engine: Pick<Engine, 'members'>
  readonly verifier: Verifier
  /** Tells callers by their certificates; null: they need none. */
  readonly certificates: CertificateCallers | null
  /** Gets what was refused for want of a proof. */
  readonly refusals: RefusalLog
  /** Gets the internal fields that nothing proves. */
  readonly forged: Pick<ForgedFields, 'note'>
  /** Path of the cluster's own routes, which gateways do not pass on. */
  readonly prefix: string
}

const provenRequests = new RequestNotes<ProvenRequest>('proof')

/** The proof that came with a request; null for one without. */
export function proofOf (req: IncomingMessage): ProvenRequest | null {
  return provenRequests.of(req) ?? null
}

/**
 * Judges who sent a request, before anything of it is believed or read. Where it is proven, what a forwarded request
 * says of its client is seen by all behind, and who made a call of its own is noted. Returns the refusal otherwise:
 * what comes as that of a node or gateway has to be theirs, where they can prove it.
 */
export function judgeProof (context: ProofContext, req: IncomingMessage, fields: InternalFields): Refusal | null {
  try {
    const proven = prove(context, req, fields)
    if (proven !== null) take(req, fields, proven)
    else if (fields.hopValue === undefined && fields.attemptValue === undefined) noteCertified(context, req)
    return null
  } catch (error) {
    if (!isRaftError(error)) throw error
    // A sender that has not heard of the last start of this node is no stranger.
    if (!(error instanceof PeerSessionError)) {
      context.refusals.add(error, req.socket.remoteAddress)
      context.forged.note(fields.hopValue === undefined ? proofField : hopHeader, req.socket.remoteAddress)
    }
    return error as Error & Refusal
  }
}

/** Notes who made a call of its own, where the certificate of the connection says it and nothing else has to. */
export function noteCertified ({ certificates, verifier, prefix }: ProofContext, req: IncomingMessage): void {
  if (certificates === null || verifier.expectsProof || req.url?.startsWith(`${prefix}/`) !== true) return
  const caller = certificates.of(req)
  if (caller !== null) noteCaller(req, caller)
}

function prove (
  { engine, verifier, certificates, prefix }: ProofContext,
  req: IncomingMessage,
  { proofValue, hopValue, hop, attemptValue, meantCluster }: InternalFields
): ProvenRequest | null {
  if (proofValue === undefined) {
    if (hopValue === undefined) return null
    if (verifier.expectsProof) throw new UnauthenticatedError('it comes as a forwarded request and carries no proof')
    certificates?.checkHop(req, hop)
    return null
  }
  const { method = '', url: target = '' } = req
  const parts = { method, target, hop: hopValue ?? '', attempt: attemptValue ?? '', cluster: meantCluster ?? '' }
  const proven = verifier.verify(proofValue, parts)
  // From here on even a refusal can be proven.
  provenRequests.set(req, proven)
  const { role, from, client } = proven.claim
  certificates?.checkSender(req, from)
  if (hop !== null && hop.from !== from) throw new UnauthenticatedError(`"${from}" sends in the name of "${hop.from}"`)
  const isForwarded = client !== undefined || hopValue !== undefined || attemptValue !== undefined
  if (role === 'gateway') {
    if (isForwarded && isReservedTarget(target, prefix)) {
      throw new UnauthorizedError(`The gateway "${from}" may not pass on requests for ${prefix}`)
    }
  } else if (isForwarded && !engine.members().some(({ id }) => id === from)) {
    throw new UnauthorizedError(`"${from}" is no member of the cluster, and passes on no requests to it`)
  }
  return proven
}

function take (req: IncomingMessage, fields: InternalFields, proven: ProvenRequest): void {
  const { hopValue, attemptValue, requestId } = fields
  const { role, from, client, caller } = proven.claim
  if (client !== undefined) {
    showClient(req, client)
    if (requestId !== null) noteRequestId(req, requestId)
  }
  if (client === undefined && hopValue === undefined && attemptValue === undefined) {
    noteCaller(req, role === 'member' ? { kind: 'member', id: from } : { kind: 'gateway', name: from })
  } else if (caller !== undefined && role === 'member') noteCaller(req, { kind: 'member', id: caller })
}
