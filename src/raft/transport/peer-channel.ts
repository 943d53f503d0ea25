import { NoSuchRouteError, OtherSecretError, PeerSessionError, UnauthenticatedError } from '../errors.ts'
import { codeIn } from '../runtime/refusal.ts'
import type { Timers } from '../runtime/timers.ts'
import { systemTimers } from '../runtime/timers.ts'
import type { OutgoingSession, SealedRequest } from '../trust/outgoing-session.ts'
import { sealField } from '../trust/seal-field.ts'
import type { Secrets } from '../trust/secret.ts'
import { NotSentError } from './not-sent.ts'
import type { Sender } from './renewed-pool.ts'
import type { SmallAnswer } from './small-request.ts'
import { SmallRequest } from './small-request.ts'

/** One request to a peer. Exactly one of `answered` and `failed` is called, as for a {@link SmallRequest}. */
interface PeerRequest {
  readonly path: string
  readonly body: Buffer
  /** Deadline from when it is sent until the whole answer is here, connecting included. Milliseconds. */
  readonly timeoutMs: number
  /** The timers of this process when left out. */
  readonly timers?: Timers
  /** A larger answer counts as none. */
  readonly maxAnswerBytes: number
  /** Takes the answer, whatever its status. One with status 200 comes from the peer if peers are authenticated. */
  readonly answered: (answer: SmallAnswer) => void
  readonly failed: (cause: Error) => void
}

/** A request under way. */
export interface SentRequest {
  /** Ends it as failed, if it has not ended yet. Returns the cause as `failed` is told it. */
  readonly abort: (cause: Error) => Error
}

/** How requests reach one peer, whatever connection they take. */
export interface PeerChannel {
  readonly send: (dispatcher: Sender, request: PeerRequest) => SentRequest
}

/** Peers are not authenticated. */
export const openChannel: PeerChannel = {
  send: (dispatcher, request) => post(dispatcher, request, null)
}

function post (
  dispatcher: Sender,
  { path, body, ...rest }: PeerRequest,
  seal: string | null
): SmallRequest {
  const headers = ['content-type', 'application/octet-stream']
  if (seal !== null) headers.push(sealField, seal)
  const sent = new SmallRequest({ method: 'POST', path, headers, body, ...rest })
  sent.start(dispatcher)
  return sent
}

/**
 * Sends one body and resolves with that of the answer. Rejects when it did not come with status 200 in time, and with
 * the signal's reason when that aborts first.
 */
export async function postOver (
  channel: PeerChannel,
  dispatcher: Sender,
  { signal, ...request }: Omit<PeerRequest, 'answered' | 'failed'> & { readonly signal: AbortSignal }
): Promise<Uint8Array> {
  signal.throwIfAborted()
  const { statusCode, body } = await new Promise<SmallAnswer>((resolve, reject) => {
    const abort = (): void => { sent.abort(signal.reason as Error) }
    const sent = channel.send(dispatcher, {
      ...request,
      answered: (answer) => {
        signal.removeEventListener('abort', abort)
        resolve(answer)
      },
      failed: (cause) => {
        signal.removeEventListener('abort', abort)
        reject(signal.aborted ? signal.reason as Error : cause)
      }
    })
    signal.addEventListener('abort', abort, { once: true })
  })
  if (statusCode === 200) return body
  throw new Error(`the peer answered ${statusCode}: ${Buffer.from(body).toString().slice(0, 500)}`)
}

interface AuthenticatedChannelOptions {
  readonly session: OutgoingSession
  readonly secrets: Secrets
  readonly nodeId: string
  readonly peerId: string
  /** Path of the handshake at the peer. */
  readonly helloPath: string
  readonly helloTimeoutMs: number
  /** The timers of this process when left out. */
  readonly timers?: Timers
}

/** Opens a session with the peer when there is none, and sends each request with its seal. */
export class AuthenticatedChannel implements PeerChannel {
  readonly #options: AuthenticatedChannelOptions
  #opening: Promise<void> | null = null

  constructor (options: AuthenticatedChannelOptions) {
    this.#options = options
  }

  send (dispatcher: Sender, request: PeerRequest): SentRequest {
    const sent = new AuthenticatedRequest(this, this.#options.session, dispatcher, request)
    sent.start()
    return sent
  }

  /** Opens the session; requests that wait for it share one handshake. Rejects with a `NotSentError`. */
  open (dispatcher: Sender): Promise<void> {
    this.#opening ??= this.#open(dispatcher).finally(() => { this.#opening = null })
    return this.#opening
  }

  async #open (dispatcher: Sender): Promise<void> {
    const { session, secrets, nodeId, peerId, helloPath, helloTimeoutMs, timers = systemTimers } = this.#options
    for (let left = secrets.current.length; left > 0; left--) {
      const hello = session.hello()
      const { statusCode, body } = await new Promise<SmallAnswer>((resolve, reject) => {
        post(dispatcher, {
          path: helloPath,
          body: hello.body,
          timeoutMs: helloTimeoutMs,
          timers,
          maxAnswerBytes: maxWelcomeBytes,
          answered: resolve,
          failed: (cause) => { reject(new NotSentError(cause.message, { cause })) }
        }, null)
      })
      if (statusCode === 200 && hello.welcomed(body)) return
      const code = statusCode === 200 ? otherSecretCode : codeIn(Buffer.from(body).toString())
      if (code === noRouteCode) throw new NotSentError(`${peerId} has no secret: give all nodes the same one`)
      if (code !== otherSecretCode) throw new NotSentError(`the handshake was answered ${statusCode} ${code ?? ''}`)
      session.useNextSecret()
    }
    const cause = new OtherSecretError(nodeId, peerId)
    throw new NotSentError(cause.message, { cause })
  }
}

const otherSecretCode = new OtherSecretError().code
const noRouteCode = new NoSuchRouteError().code
const sessionCode = new PeerSessionError().code
const maxWelcomeBytes = 1_024

/** One request, in the session of the moment. */
class AuthenticatedRequest implements SentRequest {
  readonly #channel: AuthenticatedChannel
  readonly #session: OutgoingSession
  readonly #dispatcher: Sender
  readonly #request: PeerRequest
  #sent: SmallRequest | null = null
  #isEnded = false
  #isSecond = false

  constructor (
    channel: AuthenticatedChannel,
    session: OutgoingSession,
    dispatcher: Sender,
    request: PeerRequest
  ) {
    this.#channel = channel
    this.#session = session
    this.#dispatcher = dispatcher
    this.#request = request
  }

  start (): void {
    if (this.#session.isOpen) this.#post()
    else {
      this.#channel.open(this.#dispatcher).then(
        () => { if (!this.#isEnded) this.#post() },
        (cause: Error) => { this.#end(() => { this.#request.failed(cause) }) }
      )
    }
  }

  abort (cause: Error): Error {
    if (this.#sent !== null) return this.#sent.abort(cause)
    const explained = new NotSentError(cause.message, { cause })
    queueMicrotask(() => { this.#end(() => { this.#request.failed(explained) }) })
    return explained
  }

  #post (): void {
    const { path, body } = this.#request
    const sealed = this.#session.seal(path, body)
    this.#sent = post(this.#dispatcher, {
      ...this.#request,
      answered: (answer) => { this.#take(answer, sealed) },
      failed: (cause) => { this.#end(() => { this.#request.failed(cause) }) }
    }, sealed.field)
  }

  #take (answer: SmallAnswer, sealed: SealedRequest): void {
    const { statusCode, headers, body } = answer
    if (statusCode === 401 && !this.#isSecond && codeIn(Buffer.from(body).toString()) === sessionCode) {
      // The peer was started anew, or has had many sessions since. It refused before it read the request.
      this.#isSecond = true
      this.#sent = null
      this.#session.end(sealed)
      this.start()
    } else if (statusCode === 200 && !sealed.isProven(headers[sealField], statusCode, body)) {
      this.#end(() => { this.#request.failed(new UnauthenticatedError('the seal of its answer does not fit')) })
    } else this.#end(() => { this.#request.answered(answer) })
  }

  #end (tell: () => void): void {
    if (this.#isEnded) return
    this.#isEnded = true
    tell()
  }
}
