import type { FastifyRequest, onSendHookHandler } from 'fastify'
import { readTokenHeader } from '../../gateway/internal.ts'
import type { Engine } from '../../raft/index.ts'
import { WrongReadTokenError } from '../../raft/index.ts'
import { readTokenValueOf } from './hop-guard.ts'

/**
 * What a client has seen at the most: the state of a cluster after one entry of its log. Committed entries never change
 * (paper section 5.4), so that cluster and index say it all, whichever term it is.
 */
interface ReadToken {
  readonly index: number
  readonly cluster: string
}

function parse (value: string): ReadToken | null {
  const [, digits, cluster] = /^(\d{1,16});cluster=([\w-]{1,64})$/.exec(value) ?? []
  const index = Number(digits)
  return cluster === undefined || !Number.isSafeInteger(index) ? null : { index, cluster }
}

/**
 * The token that a request shows; null for none. Throws `RAFT_WRONG_READ_TOKEN` for one that this cluster did not give,
 * as far as this node can tell without asking anybody.
 */
export function readTokenOf ({ raw }: FastifyRequest, engine: Engine): ReadToken | null {
  const value = readTokenValueOf(raw)
  if (value === undefined) return null
  const token = parse(value)
  if (token === null) throw new WrongReadTokenError('it is malformed')
  const uuid = engine.clusterUuid()
  if (uuid !== undefined && uuid !== token.cluster) throw foreign()
  return token
}

/**
 * Judges a token on a node that has applied everything that was committed before the request came: a token names what
 * was applied somewhere before it was given, so it is behind that, or nobody of this cluster has given it.
 */
export function judgeAfterBarrier (token: ReadToken, engine: Engine): void {
  if (engine.clusterUuid() !== token.cluster) throw foreign()
  if (token.index > engine.appliedIndex()) {
    throw new WrongReadTokenError(`the cluster has no entry ${token.index}`)
  }
}

function foreign (): Error {
  return new WrongReadTokenError('it is of another cluster')
}

/** Gives the answers of a route a token: what this node has applied, and so at least what its handler has seen. */
export function tellReadToken (engine: Engine): onSendHookHandler {
  return (_request, reply, payload, done) => {
    const cluster = engine.clusterUuid()
    if (cluster !== undefined) reply.header(readTokenHeader, `${engine.appliedIndex()};cluster=${cluster}`)
    done(null, payload)
  }
}
