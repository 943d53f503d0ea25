import { STATUS_CODES } from 'node:http'
import type { FastifyReply } from 'fastify'
import type { LeaderInfo } from '../../raft/index.ts'
import type { Cluster } from '../cluster/cluster.ts'

/** The body of every error of ours. */
export interface ErrorBody {
  readonly statusCode: number
  /** Stable and meant for programs, for example `RAFT_NOT_LEADER`. */
  readonly code: string
  /** The reason phrase of the status. */
  readonly error: string
  /** Meant for people. */
  readonly message: string
  readonly leader: LeaderInfo | null
  readonly term: number
}

/** What an error answer is made of; the errors of `@fastify/error` fit. */
export interface Failure {
  readonly statusCode: number
  readonly code: string
  readonly message: string
}

/** Seconds after which a refused client should try again: elections take about one. */
export const retryAfterSeconds = 1

/** Says who answers, who leads, and in which term. */
export function setClusterHeaders (reply: FastifyReply, cluster: Cluster): void {
  reply.header('raft-node', cluster.nodeId)
  const { leader } = cluster
  reply.header('raft-term', leader?.term ?? cluster.term)
  if (leader !== null && leader.url !== '') reply.header('raft-leader', leader.url)
}

/** The body that tells of a failure. */
export function errorBody (cluster: Cluster, { statusCode, code, message }: Failure): ErrorBody {
  return {
    statusCode,
    code,
    error: STATUS_CODES[statusCode] ?? 'Error',
    message,
    leader: cluster.leader,
    term: cluster.term
  }
}

/** Answers with an error of ours: the documented body, the cluster headers, and `retry-after` with every 503. */
export function sendFailure (reply: FastifyReply, cluster: Cluster, failure: Failure): FastifyReply {
  setClusterHeaders(reply, cluster)
  if (failure.statusCode === 503) reply.header('retry-after', retryAfterSeconds)
  // As text: a response schema or serializer of the application's route must not reshape it.
  return reply
    .code(failure.statusCode)
    .type('application/json; charset=utf-8')
    .send(JSON.stringify(errorBody(cluster, failure)))
}
