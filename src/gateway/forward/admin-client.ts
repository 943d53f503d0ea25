import type { IncomingHttpHeaders } from 'node:http'
import type { TlsOptions } from '../../raft/index.ts'
import { StoppedError } from '../../raft/index.ts'
import { NoAnswerInTimeError, NotSentError, SmallRequest } from '../../raft/internal.ts'
import type { AdminHeaders } from '../options/admin-headers.ts'
import { flatHeaders } from '../options/admin-headers.ts'
import { PeerPools } from './peer-pools.ts'
import { forwardDefaults } from './types.ts'

/** Answers of the admin routes are small; a larger one counts as none. */
const maxAnswerBytes = 262_144

/** A call of one admin route on one node. */
export interface AdminCall {
  readonly method: 'GET' | 'POST' | 'DELETE'
  /** Path and query, built by this process: of a client it may hold nothing but percent-encoded parameters. */
  readonly path: string
  /** The JSON body; null for none. */
  readonly body: object | null
}

/** Options of an {@link AdminClient}. */
interface AdminClientOptions {
  readonly tls?: TlsOptions
  /** Header fields of every call. */
  readonly headers?: AdminHeaders
}

/** How to make an {@link AdminCall}. */
interface AdminCallOptions {
  /** Deadline of the whole call. Milliseconds. */
  readonly timeoutMs: number
  /** Header fields to send along: names and values in turn. */
  readonly headers?: readonly string[]
  readonly signal?: AbortSignal
}

/** The answer of a node. */
export interface AdminAnswer {
  readonly statusCode: number
  /** Response fields by lower-case name; repeated ones as arrays. */
  readonly headers: IncomingHttpHeaders
  readonly text: string
}

/** Whether the request can have reached the node; decides whether it may be sent again. */
type AdminFailure = 'not-sent' | 'lost' | 'timed-out'

/** A call that got no answer. */
export class AdminCallError extends Error {
  override readonly name = 'AdminCallError'
  readonly failure: AdminFailure

  constructor (url: string, cause: Error) {
    super(`${url} gave no answer`, { cause })
    this.failure =
      cause instanceof NotSentError ? 'not-sent' : cause instanceof NoAnswerInTimeError ? 'timed-out' : 'lost'
  }
}

/**
 * Calls the admin routes of other nodes. Follows no redirects, and goes nowhere but to the URL it is given: that of a
 * member, or one from the options.
 */
export class AdminClient {
  /** No connection is kept: calls are rare, and an idle one may be closed just when it is used. */
  readonly #pools: PeerPools
  readonly #headers: readonly string[]

  #isClosed = false

  constructor ({ tls = {}, headers = {} }: AdminClientOptions = {}) {
    this.#headers = flatHeaders(headers)
    this.#pools = new PeerPools({ connectTimeoutMs: forwardDefaults.connectTimeoutMs, keepsConnections: false, tls })
  }

  /** Rejects with an {@link AdminCallError}, with the reason of the signal, or with `RAFT_STOPPED` once closed. */
  async call (url: string, { method, path, body }: AdminCall, options: AdminCallOptions): Promise<AdminAnswer> {
    const { timeoutMs, signal } = options
    const headers = [...this.#headers, ...options.headers ?? []]
    signal?.throwIfAborted()
    if (this.#isClosed) throw new StoppedError('it is closing')
    const { pool, servername } = this.#pools.of(url)
    return await new Promise((resolve, reject) => {
      const request = new SmallRequest({
        method,
        path,
        headers: body === null ? headers : [...headers, 'content-type', 'application/json'],
        body: body === null ? null : JSON.stringify(body),
        timeoutMs,
        maxAnswerBytes,
        answered: (answer) => {
          signal?.removeEventListener('abort', onAbort)
          resolve({ ...answer, text: Buffer.from(answer.body).toString('utf8') })
        },
        failed: (cause) => {
          signal?.removeEventListener('abort', onAbort)
          reject(signal?.aborted === true ? asError(signal.reason) : new AdminCallError(url, cause))
        }
      })
      const onAbort = (): void => { request.abort(asError(signal?.reason)) }
      signal?.addEventListener('abort', onAbort, { once: true })
      request.start(pool, servername)
    })
  }

  /** Cuts all calls under way. */
  async close (): Promise<void> {
    this.#isClosed = true
    await this.#pools.close()
  }
}

function asError (reason: unknown): Error {
  return reason instanceof Error ? reason : new Error(String(reason))
}
