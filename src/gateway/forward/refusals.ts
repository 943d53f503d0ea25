import {
  BusyError, LoopDetectedError, NoLeaderError, OutcomeUnknownError, StoppedError, TimeoutError
} from '../../raft/index.ts'

/** An answer of our own instead of the leader's. */
export interface Refusal {
  readonly statusCode: number
  readonly code: string
  readonly message: string
}

function refusal (error: { readonly code: string, readonly message: string }, statusCode: number): Refusal {
  return { statusCode, code: error.code, message: error.message }
}

/**
 * The answers the forwarder and the gateway give themselves, each with the status and code that design and docs name.
 */
export const refusals = {
  badRequest: (message: string): Refusal => ({
    statusCode: 400,
    code: 'RAFT_BAD_REQUEST',
    message: `Cannot be forwarded: ${message}`
  }),
  reserved: (): Refusal => ({
    statusCode: 404,
    code: 'RAFT_NOT_FOUND',
    message: 'Cluster routes are not reachable by forwarding'
  }),
  notFound: (): Refusal => ({ statusCode: 404, code: 'RAFT_NOT_FOUND', message: 'The gateway has no such route' }),
  notImplemented: (what: string): Refusal => ({
    statusCode: 501,
    code: 'RAFT_NOT_IMPLEMENTED',
    message: `Not implemented: ${what}`
  }),
  loop: (): Refusal => refusal(new LoopDetectedError(), 508),
  closing: (): Refusal => refusal(new StoppedError('it is closing'), 503),
  busy: (what: string): Refusal => refusal(new BusyError(what), 503),
  noLeader: (waitedMs: number): Refusal => refusal(new NoLeaderError(String(Math.round(waitedMs))), 503),
  noNode: (waitedMs: number): Refusal => ({
    statusCode: 503,
    code: 'RAFT_NO_NODE',
    message: `No node was ready within ${Math.round(waitedMs)} ms; nothing was executed`
  }),
  bodyGone: (): Refusal => refusal(new BusyError('the leader changed while the request body was on its way'), 503),
  /** The connection was lost, or the answer unusable, after an unsafe request was sent. */
  outcomeUnknown: (statusCode: 502 | 504, elapsedMs: number): Refusal =>
    refusal(new OutcomeUnknownError(String(Math.round(elapsedMs))), statusCode),
  /** As above for a safe request, where it makes no difference whether it was executed. */
  badGateway: (message: string): Refusal => ({ statusCode: 502, code: 'RAFT_BAD_GATEWAY', message }),
  timeout: (elapsedMs: number): Refusal => refusal(new TimeoutError(String(Math.round(elapsedMs)), 'an answer'), 504)
} as const
