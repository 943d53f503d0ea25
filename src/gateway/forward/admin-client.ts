import type { IncomingHttpHeaders } from 'node:http'
import type { TlsSource } from '../../raft/index.ts'
import { OtherSecretError, StoppedError } from '../../raft/index.ts'
import type { Environment, NameRules, Prover } from '../../raft/internal.ts'
import {
  codeIn,
  KnownNonces,
  NoAnswerInTimeError,
  NotSentError,
  plainTls,
  SmallRequest,
  systemEnvironment
} from '../../raft/internal.ts'
import type { AdminHeaders } from '../options/admin-headers.ts'
import { flatHeaders } from '../options/admin-headers.ts'
import { clusterHeader } from './hop.ts'
import type { PeerPool } from './peer-pools.ts'
import { expectedPeer, PeerPools } from './peer-pools.ts'
import { callWithProof } from './proven-call.ts'
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
  readonly tls?: TlsSource
  /** How the certificate of a member has to name it; its host counts when left out or null. */
  readonly nameRules?: NameRules | null
  /** The id of the member that is at a URL; undefined when none is known to be there. */
  readonly memberAt?: (url: string) => string | undefined
  /** Header fields of every call. */
  readonly headers?: AdminHeaders
  /** Proves who calls, and asks for the proof of each answer. Left out where there is no secret. */
  readonly prover?: Prover
  /** Who calls, for messages. */
  readonly selfId?: string
  /** That of this process when left out. */
  readonly environment?: Pick<Environment, 'clock' | 'timers' | 'connector'>
}

/** How to make an {@link AdminCall}. */
interface AdminCallOptions {
  /** Deadline of the whole call. Milliseconds. */
  readonly timeoutMs: number
  /** The member that has to be there. Left out: the one known to be at the URL, or else whoever has its host. */
  readonly memberId?: string
  /** Header fields to send along: names and values in turn. */
  readonly headers?: readonly string[]
  /** UUID of the cluster that the call is meant for, where it is known. */
  readonly cluster?: string | undefined
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

/** An answer that does not prove to come from a node with the same secret. */
export class UnprovenAnswerError extends Error {
  override readonly name = 'UnprovenAnswerError'
  readonly statusCode: number

  constructor (url: string, statusCode: number) {
    super(
      `${url} answered ${statusCode} without a proof that it has the secret: give all nodes of the cluster the same ` +
        'one, and let them reach each other without a proxy that answers in their place'
    )
    this.statusCode = statusCode
  }
}

const otherSecretCode = new OtherSecretError().code

/**
 * Calls the admin routes of other nodes. Follows no redirects, and goes nowhere but to the URL it is given: that of a
 * member, or one from the options.
 */
export class AdminClient {
  /** No connection is kept: calls are rare, and an idle one may be closed just when it is used. */
  readonly #pools: PeerPools
  readonly #headers: readonly string[]
  readonly #prover: Prover | null
  readonly #selfId: string
  readonly #nonces = new KnownNonces()
  readonly #nameRules: NameRules | null
  readonly #memberAt: (url: string) => string | undefined
  readonly #environment: Pick<Environment, 'clock' | 'timers' | 'connector'>

  #isClosed = false

  constructor (options: AdminClientOptions = {}) {
    const { tls = plainTls, nameRules = null, memberAt = () => undefined, headers = {}, prover, selfId = '' } = options
    const { environment = systemEnvironment } = options
    this.#environment = environment
    this.#headers = flatHeaders(headers)
    this.#nameRules = nameRules
    this.#memberAt = memberAt
    this.#prover = prover ?? null
    this.#selfId = selfId
    const { connectTimeoutMs } = forwardDefaults
    this.#pools = new PeerPools({
      connectTimeoutMs,
      keepsConnections: false,
      tls,
      connector: environment.connector
    })
  }

  /**
   * Rejects with an {@link AdminCallError}, with the reason of the signal, or with `RAFT_STOPPED` once closed. With a
   * secret, rejects with `RAFT_OTHER_SECRET` when the node has none that this one has, and with an
   * {@link UnprovenAnswerError} when the answer is not proven.
   */
  async call (url: string, call: AdminCall, options: AdminCallOptions): Promise<AdminAnswer> {
    const { timeoutMs, headers = [], cluster, memberId, signal } = options
    if (this.#isClosed) throw new StoppedError('it is closing')
    const peer = this.#pools.of(url, expectedPeer(memberId ?? this.#memberAt(url), this.#nameRules))
    const content: Content = {
      method: call.method,
      path: call.path,
      body: call.body === null ? null : JSON.stringify(call.body),
      headers: [...this.#headers, ...headers, ...(cluster === undefined ? [] : [clusterHeader, cluster])]
    }
    if (this.#prover === null) return await this.#send(peer, content, timeoutMs, signal)
    const { clock } = this.#environment
    const deadlineMs = clock.monotonicMs() + timeoutMs
    const caller = { prover: this.#prover, nonces: this.#nonces }
    const sent = { ...content, cluster: cluster ?? '' }
    const { answer, isProven } = await callWithProof(caller, url, sent, async (proofLines) => {
      const proven = { ...content, headers: [...content.headers, ...proofLines] }
      return await this.#send(peer, proven, Math.max(1, deadlineMs - clock.monotonicMs()), signal)
    })
    if (isProven) return answer
    if (codeIn(answer.text) === otherSecretCode) throw new OtherSecretError(this.#selfId, url)
    throw new UnprovenAnswerError(url, answer.statusCode)
  }

  async #send (
    { url, pool, servername }: PeerPool,
    { method, path, body, headers }: Content,
    timeoutMs: number,
    signal: AbortSignal | undefined
  ): Promise<AdminAnswer> {
    signal?.throwIfAborted()
    if (this.#isClosed) throw new StoppedError('it is closing')
    return await new Promise((resolve, reject) => {
      const request = new SmallRequest({
        method,
        path,
        headers: body === null ? [...headers] : [...headers, 'content-type', 'application/json'],
        body,
        timeoutMs,
        timers: this.#environment.timers,
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

/** A call as it is sent. */
interface Content extends Omit<AdminCall, 'body'> {
  readonly headers: readonly string[]
  readonly body: string | null
}

function asError (reason: unknown): Error {
  return reason instanceof Error ? reason : new Error(String(reason))
}
