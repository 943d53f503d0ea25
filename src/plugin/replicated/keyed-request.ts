import { isIndex, isToken } from './validate.ts'

/** The handler runs, as far as the log says. */
export interface RequestBegun {
  readonly kind: 'request-begun'
  /** Log index of the command that began it. */
  readonly attempt: number
  /** Token of the leadership under which it runs. */
  readonly token: number
  /** Room that is kept for its answer, in bytes. */
  readonly answerBytes: number
}

/** Why the body of an answer is not remembered. */
export type NotKeptReason = 'too-large' | 'stream' | 'unseen'

/** The handler has answered. */
export interface RequestDone {
  readonly kind: 'request-done'
  readonly statusCode: number
  /** Names and values in turn. */
  readonly headers: readonly string[]
  /** The body as text or in base64; null when it is not remembered. */
  readonly body: string | null
  readonly encoding: 'utf8' | 'base64' | NotKeptReason
}

/** An attempt ended without an answer, and another one is not allowed: what it did is unknown for good. */
interface RequestLost {
  readonly kind: 'request-lost'
}

/** No handler ran, or it may run again: the key is as if it had not been used. */
export interface RequestReleased {
  readonly kind: 'request-released'
}

/** What is remembered of a request. */
export type RequestState = RequestBegun | RequestDone | RequestLost | RequestReleased

/** The handler may run; `attempt` names this run of it. */
interface RequestStarted {
  readonly kind: 'request-started'
  readonly attempt: number
}

/** The end of an attempt is remembered. */
interface RequestFinished {
  readonly kind: 'request-finished'
}

/** The attempt was over already: its key was decided, or forgotten. */
interface RequestStale {
  readonly kind: 'request-stale'
}

/** What a command on the key of a request is answered, but for refusals. */
export type KeyedRequestAnswer =
  RequestStarted | RequestBegun | RequestDone | RequestLost | RequestFinished | RequestStale

const encodings = new Set<unknown>(['utf8', 'base64', 'too-large', 'stream', 'unseen'])

/** Whether a value is what a request may end with. */
export function isRequestOutcome (value: unknown): value is RequestDone | RequestReleased {
  return isRequestState(value) && (value.kind === 'request-done' || value.kind === 'request-released')
}

/** Whether a value is what is remembered of a request, to the member. */
export function isRequestState (value: unknown): value is RequestState {
  if (typeof value !== 'object' || value === null) return false
  const members = new Map<string, unknown>(Object.entries(value))
  switch (members.get('kind')) {
    case 'request-begun':
      return members.size === 4 && isToken(members.get('attempt')) && isToken(members.get('token')) &&
        isIndex(members.get('answerBytes'))
    case 'request-done':
      return members.size === 5 && isDone(members)
    case 'request-lost':
    case 'request-released':
      return members.size === 1
    default:
      return false
  }
}

function isDone (members: ReadonlyMap<string, unknown>): boolean {
  const { statusCode, headers, body, encoding } = Object.fromEntries(members)
  const isKept = encoding === 'utf8' || encoding === 'base64'
  return isIndex(statusCode) && (statusCode as number) >= 200 && (statusCode as number) <= 599 &&
    Array.isArray(headers) && headers.length % 2 === 0 && headers.every((text) => typeof text === 'string') &&
    encodings.has(encoding) && (isKept ? typeof body === 'string' : body === null)
}

/** What a state takes beside its record, in bytes: the same on every node, and cheap. */
export function requestStateBytes (state: RequestState): number {
  switch (state.kind) {
    case 'request-begun': return state.answerBytes
    case 'request-done': return state.headers.reduce((sum, text) => sum + text.length, state.body?.length ?? 0)
    case 'request-lost':
    case 'request-released': return 0
  }
}
