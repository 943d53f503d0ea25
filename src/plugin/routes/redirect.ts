import type { FastifyReply, FastifyRequest } from 'fastify'
import { splitTarget } from '../../gateway/internal.ts'
import { BadRequestError } from '../../raft/index.ts'
import type { Refusal } from '../../raft/internal.ts'
import type { Cluster } from '../cluster/cluster.ts'
import type { PublicUrls } from '../cluster/public-urls.ts'
import { setClusterHeaders } from './answers.ts'

/** Status of a redirect that keeps method and body (RFC 9110 sections 15.4.8 and 15.4.9). */
export type RedirectStatus = 307 | 308

/** Where a request goes that this node does not serve, or why it goes nowhere. */
type Redirection =
  | { readonly kind: 'to', readonly location: string }
  | { readonly kind: 'nowhere', readonly detail: string }
  | { readonly kind: 'refused', readonly refusal: Refusal }

/**
 * The place of a request at the leader: its origin as the leader itself has told the cluster, and the path and query as
 * they came. Nothing that the client sends can choose the origin.
 *
 * The leader that this node knows led a term that this node has heard of. Whoever is sent there meets a node that is in
 * that term or a later one: it serves, sends on by a later term, or refuses. No two nodes send a client to and fro.
 */
export function redirectionOf (
  { cluster, publicUrls }: { readonly cluster: Cluster, readonly publicUrls: PublicUrls },
  request: FastifyRequest
): Redirection {
  const { leader } = cluster
  if (leader === null || leader.id === cluster.nodeId) return { kind: 'nowhere', detail: 'no leader is known' }
  const origin = publicUrls.of(leader.id)
  if (origin === null) {
    return { kind: 'nowhere', detail: `${leader.id} leads, and has not told yet where clients reach it (publicUrl)` }
  }
  if (origin === publicUrls.own) {
    return { kind: 'nowhere', detail: `${leader.id} leads, and has the publicUrl of this node` }
  }
  const target = splitTarget(request.originalUrl)
  if (target.kind === 'invalid') return { kind: 'refused', refusal: new BadRequestError(target.message) }
  return { kind: 'to', location: origin + target.path }
}

/** Sends the client to the leader. */
export function sendRedirect (
  { cluster }: { readonly cluster: Cluster },
  reply: FastifyReply,
  status: RedirectStatus,
  location: string
): void {
  setClusterHeaders(reply, cluster)
  // A 308 is kept for ever unless told otherwise (RFC 9110 section 15.4.9), and this one is wrong at the next election.
  reply.code(status).header('location', location).header('cache-control', 'no-store').send('')
}
