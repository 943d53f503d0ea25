import { STATUS_CODES } from 'node:http'
import type { Violation } from '../core/index.ts'
import { defaults } from '../defaults.ts'
import type { LeaderInfo } from '../engine.ts'
import { MalformedMessageError, OtherClusterError } from '../errors.ts'

/** Status, code and message of an error answer; the errors of the cluster fit. */
export interface Refusal {
  readonly statusCode: number
  /** Stable code for programs, for example `RAFT_NOT_LEADER`. */
  readonly code: string
  /** Text for people. */
  readonly message: string
}

/** The leadership that an error answer names. */
interface KnownLeader {
  /** Null when no leader is known. */
  readonly leader: LeaderInfo | null
  /** The term of the answering node; 0 when it knows no term. */
  readonly term: number
}

/** The JSON body of every error answer to a client. */
export interface ErrorBody extends Refusal, KnownLeader {
  /** The reason phrase of the status. */
  readonly error: string
}

/** The JSON text of an error answer: an {@link ErrorBody}, without `leader` and `term` where no leadership is given. */
export function errorText ({ statusCode, code, message }: Refusal, known?: KnownLeader): string {
  const body = { statusCode, code, error: STATUS_CODES[statusCode] ?? 'Error', message }
  if (known === undefined) return JSON.stringify(body)
  const whole: ErrorBody = { ...body, leader: known.leader, term: known.term }
  return JSON.stringify(whole)
}

/** The code in the text of an error answer; null when the text is none. */
export function codeIn (text: string): string | null {
  try {
    const code = (JSON.parse(text) as { readonly code?: unknown } | null)?.code
    return typeof code === 'string' ? code : null
  } catch {
    return null
  }
}

/** The header fields of every error answer to a client. */
export function errorHeaders ({ statusCode }: Refusal): Record<string, string> {
  const headers = { 'content-type': 'application/json; charset=utf-8' }
  return statusCode === 503 ? { ...headers, 'retry-after': defaults.retryAfterSeconds } : headers
}

/** The answer to a sender whose message or snapshot breaks a rule of the protocol. */
export function violationError ({ kind, message }: Violation): Error {
  return kind === 'foreign' ? new OtherClusterError(message) : new MalformedMessageError(message)
}

/** The refusal of a node of another cluster with the same name. Each of the two: who it is, and its cluster's UUID. */
export function otherClusterError (
  clusterId: string,
  [one, uuidOfOne]: readonly [name: string, uuid: string],
  [other, uuidOfOther]: readonly [name: string, uuid: string]
): Error {
  return new OtherClusterError(
    `there are two clusters with the name "${clusterId}": ${one} belongs to ${uuidOfOne}, and ${other} to ` +
      `${uuidOfOther}. Nothing was changed. Each may hold the only copy of what it has acknowledged, so keep the ` +
      'data directories of both. Decide which one goes on, save a snapshot of the other, and stop its nodes'
  )
}
