import type { IncomingHttpHeaders } from 'node:http'
import type { Hop } from '../../gateway/index.ts'
import { createHopId, formatHop, hopHeader, isNotExecuted, notExecutedHeader } from '../../gateway/index.ts'
import type { LeaderInfo } from '../../raft/index.ts'
import type { AdminAnswer, AdminCall, AdminClient } from './admin-client.ts'
import { AdminCallError } from './admin-client.ts'

/** What became of a call of the leader. */
export type LeaderCallOutcome =
  | { readonly kind: 'answered', readonly answer: AdminAnswer }
  /** It surely did nothing and may be sent again. */
  | { readonly kind: 'not-executed' }
  /** It may have been executed. */
  | { readonly kind: 'lost', readonly timedOut: boolean }

/**
 * Sends a call of an admin route on to the leader, one hop, fenced as every forwarded request is: it names the node and
 * the term it means. The forwarder itself refuses everything under the cluster's prefix, since there the path is the
 * client's; here it is put together by the route. The client's own fields go along, so that whatever the application
 * asks of a caller is asked on the leader as well.
 */
export async function callLeader (
  client: AdminClient,
  selfId: string,
  leader: LeaderInfo,
  call: AdminCall,
  headers: IncomingHttpHeaders,
  timeoutMs: number
): Promise<LeaderCallOutcome> {
  const hop: Hop = { from: selfId, to: leader.id, term: leader.term, id: createHopId() }
  try {
    const answer = await client.call(
      leader.url,
      call,
      { ...endToEnd(headers), [hopHeader]: formatHop(hop) },
      timeoutMs
    )
    const marker = answer.headers[notExecutedHeader]
    return isNotExecuted(answer.statusCode, typeof marker === 'string' ? marker : undefined, hop)
      ? { kind: 'not-executed' }
      : { kind: 'answered', answer }
  } catch (error) {
    if (!(error instanceof AdminCallError)) throw error
    return error.failure === 'not-sent'
      ? { kind: 'not-executed' }
      : { kind: 'lost', timedOut: error.failure === 'timed-out' }
  }
}

/** Fields of one connection, of one body, of proxies on the way, and those that would change the form of the answer. */
const notPassedOn = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'proxy-authenticate',
  'proxy-authorization',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'host',
  'expect',
  'content-length',
  'content-type',
  'content-encoding',
  'accept-encoding',
  'range',
  'forwarded',
  'via',
  'x-real-ip',
  'origin'
])

/**
 * The client's fields but those, ours, and those that its Connection field names (credentials stay: see the forwarder).
 */
function endToEnd (headers: IncomingHttpHeaders): Record<string, string> {
  const nominated = new Set((headers.connection ?? '').toLowerCase().split(',').map((name) => name.trim()))
  const kept: Record<string, string> = {}
  for (const [name, value] of Object.entries(headers)) {
    if (
      typeof value !== 'string' ||
      notPassedOn.has(name) ||
      name.startsWith('raft-') ||
      name.startsWith('x-forwarded-') ||
      name.startsWith(':')
    ) {
      continue
    }
    if (nominated.has(name) && name !== 'authorization' && name !== 'cookie') continue
    kept[name] = value
  }
  return kept
}
