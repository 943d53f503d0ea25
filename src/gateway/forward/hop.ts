import type { SentProof } from '../../raft/internal.ts'

/** Request field that marks a forwarded request: who sent it, to whom, and in which term that node was to lead. */
export const hopHeader = 'raft-hop'

/**
 * Response field of a node that refused a forwarded request before any of its handlers ran. With status 401, 403, 421
 * or 503 and the identity of the hop it tells the sender that any method may be sent again.
 */
export const notExecutedHeader = 'raft-not-executed'

/**
 * Request field of a read that a gateway sends to any node: names the attempt. A node that refuses the read because its
 * route is for the leader alone repeats the name, and the gateway then sends the read to the leader.
 */
export const attemptHeader = 'raft-attempt'

/** Request field beside a proven hop: the id of the request on the node that the client called, percent-encoded. */
export const requestIdHeader = 'raft-request-id'

/**
 * Field of answers and of the requests behind them: what the client has seen, so that a read at another node sees as
 * much. The one internal field that clients send; a gateway passes it on.
 */
export const readTokenHeader = 'raft-read-token'

/** Ids that are longer are not told: they would be most of the head. */
const maxRequestIdLength = 256

/** The value of {@link requestIdHeader}; null for an id that is not told. */
export function formatRequestId (id: string): string | null {
  if (id === '' || id.length > maxRequestIdLength) return null
  try {
    return encodeURIComponent(id)
  } catch {
    // Half of a surrogate pair: no text.
    return null
  }
}

/** The id that {@link formatRequestId} wrote; null for anything else. */
export function parseRequestId (value: string | undefined): string | null {
  if (value === undefined || value === '') return null
  try {
    const id = decodeURIComponent(value)
    return formatRequestId(id) === value ? id : null
  } catch {
    return null
  }
}

/**
 * Field of the admin routes: in answers the UUID of the cluster, from which gateways learn it, and in calls of nodes
 * that of the cluster that they are meant for.
 */
export const clusterHeader = 'raft-cluster'

/** Field of answers of the admin routes: what the monotonic clock of the node shows, in whole milliseconds. */
export const clockHeader = 'raft-clock'

/** One forwarding hop, as carried in {@link hopHeader}. */
export interface Hop {
  readonly from: string
  readonly to: string
  readonly term: number
  /** Names this one attempt. A "not executed" answer must repeat it, or it is not believed. */
  readonly id?: string
  /** UUID of the cluster that it is meant for; left out while the sender does not know it. */
  readonly cluster?: string
  /**
   * An earlier attempt may have been executed: only a route that knows requests by their Idempotency-Key may take this
   * one. A node of a release that does not know this refuses the hop.
   */
  readonly keyed?: true
  /** What is left of the request's time; left out when the sender extends it, as for an upload. */
  readonly time?: HopTime
}

/** The time that a forwarded request has left. Whole milliseconds. */
export interface HopTime {
  /** From the moment of sending until the sender gives up. */
  readonly leftMs: number
  /**
   * What the monotonic clock of the receiver showed at least when it was sent; left out when the sender knows nothing
   * of that clock. The receiver counts from there, or else from the moment when it has read the request.
   */
  readonly sentAtMs?: number
}

/** Names one attempt to have a request answered, and the cluster that it is meant for, as in a {@link Hop}. */
export type Attempt = Pick<Hop, 'id' | 'cluster'>

/**
 * Writes a hop as `v=1;from=n1;to=n2;term=7` and, when it has them, `;id=...`, `;cluster=...`, `;left=...`, `;at=...`
 * and `;keyed`.
 */
export function formatHop (hop: Hop): string {
  const base = `v=1;from=${encodeURIComponent(hop.from)};to=${encodeURIComponent(hop.to)};term=${hop.term}`
  const named = (hop.id === undefined ? base : `${base};id=${hop.id}`) + clusterPart(hop) + timePart(hop.time)
  return hop.keyed === true ? `${named};keyed` : named
}

function clusterPart ({ cluster }: Attempt): string {
  return cluster === undefined ? '' : `;cluster=${cluster}`
}

function timePart (time: HopTime | undefined): string {
  if (time === undefined) return ''
  const { leftMs, sentAtMs } = time
  return sentAtMs === undefined ? `;left=${leftMs}` : `;left=${leftMs};at=${sentAtMs}`
}

/** Whether a hop or an attempt is meant for another cluster than this one, by what both of them know. */
export function isForeign ({ cluster }: Attempt, ownUuid: string | undefined): boolean {
  return cluster !== undefined && ownUuid !== undefined && cluster !== ownUuid
}

const hopPattern = new RegExp(
  [
    '^v=1;from=([^;=,\\s]+);to=([^;=,\\s]+);term=([1-9]\\d{0,15})',
    '(?:;id=([\\w-]{1,64}))?',
    '(?:;cluster=([\\w-]{1,64}))?',
    '(?:;left=(\\d{1,10})(?:;at=(\\d{1,15}))?)?(;keyed)?$'
  ].join('')
)

/**
 * Reads a hop. Null when the value is absent, repeated, of another version or not exactly what {@link formatHop}
 * writes: a node that finds the field but gets null here refuses the request as not executed.
 */
export function parseHop (value: string | readonly string[] | undefined): Hop | null {
  if (typeof value !== 'string' || value.length > 2048) return null
  const match = hopPattern.exec(value)
  if (match === null) return null
  const [, from, to, digits, id, cluster, left, at, keyed] = match
  const term = Number(digits)
  if (from === undefined || to === undefined || !Number.isSafeInteger(term)) return null
  try {
    return {
      from: decodeURIComponent(from),
      to: decodeURIComponent(to),
      term,
      ...(id === undefined ? {} : { id }),
      ...(cluster === undefined ? {} : { cluster }),
      ...(keyed === undefined ? {} : { keyed: true }),
      ...(left === undefined ? {} : { time: timeOf(left, at) })
    }
  } catch {
    // A percent sign that encodes nothing: formatHop does not write it.
    return null
  }
}

function timeOf (left: string, at: string | undefined): HopTime {
  return at === undefined ? { leftMs: Number(left) } : { leftMs: Number(left), sentAtMs: Number(at) }
}

/**
 * The moment on the clock of its receiver from which on the sender of a hop has given up; infinite when it does not
 * say. `nowMs`: what that clock shows, right after the hop was read.
 */
export function endOfHop ({ time }: Hop, nowMs: number): number {
  if (time === undefined) return Infinity
  // Never later than counted from now: what a sender takes for this clock may be wrong.
  return Math.min(time.sentAtMs ?? nowMs, nowMs) + time.leftMs
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
 * The value of {@link notExecutedHeader} that refuses this hop or attempt: the term of the refusing node, the name of
 * the attempt, and the UUID of the cluster when the node knows that.
 * @param term the term the refusing node is in
 */
export function formatNotExecuted (attempt: Attempt | null, term: number, ownUuid: string | undefined): string {
  if (attempt?.id === undefined) return String(term)
  return `${term};id=${attempt.id}${ownUuid === undefined ? '' : clusterPart({ cluster: ownUuid })}`
}

/** Writes an attempt without a hop, for {@link attemptHeader}. */
export function formatAttempt (attempt: Attempt & { readonly id: string }): string {
  return attempt.id + clusterPart(attempt)
}

/** An attempt as {@link formatAttempt} writes it; null for anything else. */
export function parseAttempt (value: string | undefined): Attempt | null {
  const [, id, cluster] = /^([\w-]{1,64})(?:;cluster=([\w-]{1,64}))?$/.exec(value ?? '') ?? []
  if (id === undefined) return null
  return cluster === undefined ? { id } : { id, cluster }
}

/** Not now, not here, and not without a proof that its sender belongs. */
const refusalStatuses: ReadonlySet<number> = new Set([503, 421, 401, 403])

/** Whether a refusal of a hop or attempt can have this status. */
export function isRefusalStatus (statusCode: number): boolean {
  return refusalStatuses.has(statusCode)
}

/** Puts the proof of a refusal behind what {@link formatNotExecuted} has made of it. */
export function withRefusalProof (value: string, mac: string): string {
  return `${value};mac=${mac}`
}

/** What an answer says of the attempt that it answers. */
type NotExecutedJudgement =
  /** An honest refusal of this attempt. */
  | 'not-executed'
  /** It says so, and does not prove it: somebody on the way may have passed the request on all the same. */
  | 'unproven'
  | 'other'

const notExecutedPattern = /^(\d{1,16};id=([\w-]+)(?:;cluster=([\w-]+))?)(?:;mac=([\w-]+))?$/

/**
 * Judges whether an answer is an honest refusal of this hop or attempt. An application may pass on a marker it got from
 * elsewhere; only one that repeats this attempt is believed, and only from the cluster that the attempt was meant for.
 * Where the attempt was proven, the refusal has to be.
 */
export function judgeNotExecuted (
  statusCode: number,
  value: string | undefined,
  attempt: Attempt,
  proof: Pick<SentProof, 'isRefused'> | null
): NotExecutedJudgement {
  if (!isRefusalStatus(statusCode) || value === undefined || attempt.id === undefined) return 'other'
  const [, refusal = '', id, cluster, mac] = notExecutedPattern.exec(value) ?? []
  if (id !== attempt.id || (attempt.cluster !== undefined && cluster !== attempt.cluster)) return 'other'
  return proof === null || proof.isRefused(refusal, mac) ? 'not-executed' : 'unproven'
}
