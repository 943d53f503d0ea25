import {
  BadGatewayError,
  BadRequestError,
  BusyError,
  LoopDetectedError,
  NoLeaderError,
  NoNodeError,
  NotFoundError,
  NotImplementedError,
  OutcomeUnknownError,
  StoppedError,
  TimeoutError
} from '../../raft/index.ts'
import type { Refusal } from '../../raft/internal.ts'

/** The answers that the forwarder and the gateway give themselves, instead of the leader. */
export const refusals = {
  badRequest: (message: string): Refusal => new BadRequestError(message),
  reserved: (): Refusal => new NotFoundError('Cluster routes are not reachable by forwarding'),
  notFound: (): Refusal => new NotFoundError('The gateway has no such route'),
  notImplemented: (what: string): Refusal => new NotImplementedError(what),
  loop: (): Refusal => new LoopDetectedError(),
  closing: (): Refusal => new StoppedError('it is closing'),
  busy: (what: string): Refusal => new BusyError(what),
  noLeader: (waitedMs: number): Refusal => new NoLeaderError(Math.round(waitedMs)),
  noNode: (waitedMs: number): Refusal => new NoNodeError(Math.round(waitedMs)),
  bodyGone: (): Refusal => new BusyError('the leader changed while the request body was on its way'),
  /** The connection was lost (502), or no answer came in time (504), after an unsafe request was sent. */
  outcomeUnknown: (statusCode: 502 | 504, elapsedMs: number): Refusal => {
    const { code, message } = new OutcomeUnknownError(Math.round(elapsedMs))
    return { statusCode, code, message }
  },
  /** As above for a safe request, where it makes no difference whether it was executed. */
  badGateway: (message: string): Refusal => new BadGatewayError(message),
  timeout: (elapsedMs: number): Refusal => new TimeoutError(Math.round(elapsedMs), 'an answer')
} as const
