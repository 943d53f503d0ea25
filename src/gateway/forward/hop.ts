import { randomBytes } from 'node:crypto'

/** Request field that marks a forwarded request: who sent it, to whom, and in which term that node was to lead. */
export const hopHeader = 'raft-hop'

/**
 * Response field of a node that refused a forwarded request before any of its handlers ran. With status 503 or 421 and
 * the identity of the hop it tells the sender that any method may be sent again.
 */
export const notExecutedHeader = 'raft-not-executed'

/**
 * Request field of a read that a gateway sends to any node: names the attempt. A node that refuses the read because its
 * route is for the leader alone repeats the name, and the gateway then sends the read to the leader.
 */
export const attemptHeader = 'raft-attempt'

/** One forwarding hop, as carried in {@link hopHeader}. */
export interface Hop {
  readonly from: string
  readonly to: string
  readonly term: number
  /** Names this one attempt. A "not executed" answer must repeat it, or it is not believed. */
  readonly id?: string
}

/** A fresh attempt identity, unguessable by the application and by clients. */
export function createHopId (): string {
  return randomBytes(12).toString('base64url')
}

/** Writes a hop as `v=1;from=n1;to=n2;term=7` and, when it has one, `;id=...`. */
export function formatHop (hop: Hop): string {
  const base = `v=1;from=${encodeURIComponent(hop.from)};to=${encodeURIComponent(hop.to)};term=${hop.term}`
  return hop.id === undefined ? base : `${base};id=${hop.id}`
}

/**
 * Reads a hop. Null when the value is absent, repeated, of another version or not exactly what {@link formatHop}
 * writes: a node that finds the field but gets null here refuses the request as not executed.
 */
export function parseHop (value: string | readonly string[] | undefined): Hop | null {
  if (typeof value !== 'string' || value.length > 2048) return null
  const match = /^v=1;from=([^;=,\s]+);to=([^;=,\s]+);term=([1-9]\d{0,15})(?:;id=([\w-]{1,64}))?$/.exec(value)
  if (match === null) return null
  const [, from, to, digits, id] = match
  const term = Number(digits)
  if (from === undefined || to === undefined || !Number.isSafeInteger(term)) return null
  try {
    const hop = { from: decodeURIComponent(from), to: decodeURIComponent(to), term }
    return id === undefined ? hop : { ...hop, id }
  } catch {
    // A percent sign that encodes nothing: formatHop does not write it.
    return null
  }
}

/** The receiver of a hop, as far as the judgement needs it. */
interface HopReceiver {
  readonly nodeId: string
  /** This node's leadership at this moment, null while it may not serve. */
  readonly leadership: { readonly term: number } | null
}

/**
 * Whether the node may run the handler: the hop names this node, and this node leads in the very term the sender meant.
 * Everything else, a malformed hop included, is answered "not executed".
 */
export function checkHop (hop: Hop | null, self: HopReceiver): 'serve' | 'not-executed' {
  if (hop === null || self.leadership === null) return 'not-executed'
  return hop.to === self.nodeId && hop.term === self.leadership.term ? 'serve' : 'not-executed'
}

/**
 * The value of {@link notExecutedHeader} that refuses this hop: the refusing node's term, and the hop's identity.
 * @param term the term the refusing node is in
 */
export function formatNotExecuted (hop: Pick<Hop, 'id'> | null, term: number): string {
  return hop?.id === undefined ? String(term) : `${term};id=${hop.id}`
}

/** The name of an attempt, as {@link createHopId} makes them; null for anything else. */
export function parseAttempt (value: string | readonly string[] | undefined): string | null {
  return typeof value === 'string' && /^[\w-]{1,64}$/.test(value) ? value : null
}

/**
 * Whether an answer is an honest refusal of this hop or attempt. An application may pass on a marker it got from
 * elsewhere; only one that repeats this attempt's identity is believed.
 */
export function isNotExecuted (statusCode: number, value: string | undefined, attempt: Pick<Hop, 'id'>): boolean {
  if ((statusCode !== 503 && statusCode !== 421) || value === undefined || attempt.id === undefined) return false
  return /^\d{1,16};id=([\w-]+)$/.exec(value)?.[1] === attempt.id
}
