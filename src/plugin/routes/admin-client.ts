import { Agent } from 'undici'

/** Connecting to another node may take this long. */
const connectTimeoutMs = 1_000
/** Answers of the admin routes are small; one that is not is none. */
const maxAnswerBytes = 262_144

/** A call of one admin route on one node. */
export interface AdminCall {
  readonly method: 'GET' | 'POST' | 'DELETE'
  /** Path and query, put together by us: nothing of it may be a client's but percent-encoded parameters. */
  readonly path: string
  /** The JSON body; null for none. */
  readonly body: object | null
}

/** What a node answered. */
export interface AdminAnswer {
  readonly statusCode: number
  /** Response fields by lower-case name; repeated ones as arrays. */
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly text: string
}

/** Whether the request can have reached the node; decides whether it may be sent again. */
export type AdminFailure = 'not-sent' | 'lost' | 'timed-out'

/** A call that got no answer. */
export class AdminCallError extends Error {
  override readonly name = 'AdminCallError'
  readonly failure: AdminFailure

  constructor (url: string, failure: AdminFailure, cause: unknown) {
    super(`${url} gave no answer`, { cause })
    this.failure = failure
  }
}

/** Errors of connecting: not a byte of the request left. */
const notSentCodes = new Set([
  'UND_ERR_CONNECT_TIMEOUT',
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'EADDRNOTAVAIL',
  'EHOSTDOWN'
])
const timeoutCodes = new Set(['UND_ERR_HEADERS_TIMEOUT', 'UND_ERR_BODY_TIMEOUT'])

/**
 * Calls the admin routes of other nodes. Follows no redirects, and goes nowhere but to the URL it is given: that has to
 * be one from the options, or of a member.
 */
export class AdminClient {
  readonly #agent: Agent

  constructor () {
    // No connection is kept: calls are rare, and one that idled may be closed just as it is used.
    this.#agent = new Agent({ pipelining: 0, connect: { timeout: connectTimeoutMs }, maxResponseSize: maxAnswerBytes })
  }

  /** Rejects with an {@link AdminCallError}, or with the reason of the signal. */
  async call (
    url: string,
    { method, path, body }: AdminCall,
    headers: Readonly<Record<string, string>>,
    timeoutMs: number,
    signal?: AbortSignal
  ): Promise<AdminAnswer> {
    signal?.throwIfAborted()
    try {
      const response = await this.#agent.request({
        origin: url,
        path,
        method,
        headers: { ...headers, ...(body === null ? {} : { 'content-type': 'application/json' }) },
        body: body === null ? null : JSON.stringify(body),
        headersTimeout: timeoutMs,
        bodyTimeout: timeoutMs,
        ...(signal === undefined ? {} : { signal })
      })
      return { statusCode: response.statusCode, headers: response.headers, text: await response.body.text() }
    } catch (error) {
      signal?.throwIfAborted()
      throw new AdminCallError(url, failureOf(error), error)
    }
  }

  /** Cuts what is under way. */
  async close (): Promise<void> {
    await this.#agent.destroy()
  }
}

function failureOf (error: unknown): AdminFailure {
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  if (notSentCodes.has(code)) return 'not-sent'
  return timeoutCodes.has(code) ? 'timed-out' : 'lost'
}
