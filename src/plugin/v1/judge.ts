import type { FastifyRequest } from 'fastify'
import type { Logger } from '../../raft/index.ts'
import { InternalError, InvalidRequestError, UnauthenticatedError, UnauthorizedError } from '../../raft/index.ts'
import type { Refusal } from '../../raft/internal.ts'
import { cameThroughProxy, errorHeaders, errorText, isSameMac, tokenDigest } from '../../raft/internal.ts'
import type { AuditCaller } from '../cluster/types.ts'
import type { Authorize, TokenRole } from '../options/access.ts'
import { isEnough } from '../options/access.ts'
import { isLoopbackAddress } from '../options/loopback.ts'
import type { Token } from '../options/tokens.ts'
import { provenCallerOf } from '../routes/proven-caller.ts'
import { shownToken } from './bearer.ts'
import type { Tokens } from './token-file.ts'

/** Whether a request is let in, and who makes it, as far as that is known. */
export type Judgement =
  | { readonly kind: 'admitted', readonly caller: AuditCaller }
  | { readonly kind: 'refused', readonly caller: AuditCaller, readonly refusal: AccessRefusal }

/** A refusal as it is sent. Those are few, and made once. */
interface AccessRefusal extends Refusal {
  readonly headers: Readonly<Record<string, string>>
  /** The body. It says nothing of the cluster, nor who leads it. */
  readonly text: string
}

/** What lets callers in who have not proven to be members. At most one of `tokens` and `authorize`. */
interface AccessRules {
  readonly tokens: Tokens | null
  readonly authorize: Authorize | null
  /** Without both: let in clients on other machines, of whom nothing is known. */
  readonly insecure: boolean
  readonly logger: Logger
}

const anybody: AuditCaller = { kind: 'anybody', name: null }
const anybodyAdmitted: Judgement = { kind: 'admitted', caller: anybody }
const loopbackAdmitted: Judgement = { kind: 'admitted', caller: { kind: 'loopback', name: null } }

const realm = 'Bearer realm="fastify-raft"'

// What strangers send costs no stack traces.
const noToken = refusalOf(
  new UnauthenticatedError('the request shows no token, which goes into its field "authorization: Bearer <token>"'),
  realm
)
const unknownToken = refusalOf(new UnauthenticatedError('the token is not known'), `${realm}, error="invalid_token"`)
const repeatedField = refusalOf(
  new InvalidRequestError('the field authorization came more than once'),
  `${realm}, error="invalid_request"`
)
const notLocal = refusalOf(
  new UnauthorizedError(
    'Nothing proves who calls: without tokens or authorize this route answers only over 127.0.0.1 or ::1, and not ' +
      'through a proxy'
  ),
  null
)
const notForGateways = refusalOf(new UnauthorizedError('A gateway may ask who leads, and nothing else'), null)
const notAuthorized = refusalOf(new UnauthorizedError('The application does not allow this call'), null)
const authorizeFailed = refusalOf(new InternalError('The request failed; the log of the node says why'), null)

/** `challenge` says how the caller could prove who it is, in the field `www-authenticate` (RFC 6750 section 3). */
function refusalOf ({ statusCode = 500, code, message }: ErrorLike, challenge: string | null): AccessRefusal {
  const refusal = { statusCode, code, message }
  const text = errorText(refusal, { leader: null, term: 0 })
  const headers = { ...errorHeaders(refusal), 'content-length': String(Buffer.byteLength(text)) }
  return { ...refusal, text, headers: challenge === null ? headers : { ...headers, 'www-authenticate': challenge } }
}

interface ErrorLike {
  readonly statusCode?: number
  readonly code: string
  readonly message: string
}

/** Those of role and route, made once each. */
const tooLow = new Map<string, AccessRefusal>()

function refusalOfRole (role: TokenRole, access: TokenRole): AccessRefusal {
  const key = `${role} ${access}`
  const known = tooLow.get(key)
  if (known !== undefined) return known
  const error = new UnauthorizedError(`The role of the token is ${role}, and this call needs ${access}`)
  const refusal = refusalOf(error, `${realm}, error="insufficient_scope", scope="${access}"`)
  tooLow.set(key, refusal)
  return refusal
}

/** Judges the calls of the routes of the cluster that are not open. */
export class Judge {
  readonly #rules: AccessRules

  constructor (rules: AccessRules) {
    this.#rules = rules
  }

  /** Without waiting, unless the application has to say so. Never rejects. */
  judge (request: FastifyRequest, access: TokenRole): Judgement | Promise<Judgement> {
    const proven = provenCallerOf(request.raw)
    if (proven?.kind === 'member') return admitted({ kind: 'member', name: proven.id })
    if (proven?.kind === 'gateway') {
      const caller: AuditCaller = { kind: 'gateway', name: proven.name }
      return request.routeOptions.config.clusterGateways === true ? admitted(caller) : refused(notForGateways, caller)
    }
    const { tokens, authorize, insecure } = this.#rules
    if (tokens !== null) return byToken(tokens.current, request, access)
    if (authorize !== null) return this.#byApplication(authorize, request, access)
    if (isLocal(request)) return loopbackAdmitted
    return insecure ? anybodyAdmitted : refused(notLocal)
  }

  async #byApplication (authorize: Authorize, request: FastifyRequest, access: TokenRole): Promise<Judgement> {
    try {
      const answer: unknown = await authorize(request, access)
      if (answer === false) return refused(notAuthorized)
      if (answer === true) return admitted({ kind: 'authorized', name: null })
      if (isNamed(answer)) return admitted({ kind: 'authorized', name: answer.name.slice(0, maxNameLength) })
      throw new TypeError('authorize returned something else than true, false or { name }')
    } catch (err) {
      this.#rules.logger.error({ err, access }, 'authorize of the application failed')
      return refused(authorizeFailed)
    }
  }
}

const maxNameLength = 200

function isNamed (answer: unknown): answer is { readonly name: string } {
  return typeof answer === 'object' && answer !== null && 'name' in answer && typeof answer.name === 'string'
}

function byToken (tokens: readonly Token[], request: FastifyRequest, access: TokenRole): Judgement {
  const shown = shownToken(request.raw.rawHeaders)
  if (shown.kind === 'none') return refused(noToken)
  if (shown.kind === 'repeated') return refused(repeatedField)
  const token = known(tokens, shown.text)
  if (token === null) return refused(unknownToken)
  const caller: AuditCaller = { kind: 'token', name: token.name }
  return isEnough(token.role, access) ? admitted(caller) : refused(refusalOfRole(token.role, access), caller)
}

/** In a time that depends neither on which token it is nor on how much of one was guessed. */
function known (tokens: readonly Token[], text: string): Token | null {
  const digest = tokenDigest(text)
  let found: Token | null = null
  for (const token of tokens) if (isSameMac(token.digest, digest)) found = token
  return found
}

/**
 * Whether the client is on this machine. Judged by the socket and not by `request.ip`, which follows a header under
 * `trustProxy`; and a request that says it was passed on is never local.
 */
function isLocal (request: FastifyRequest): boolean {
  return isLoopbackAddress(request.raw.socket.remoteAddress) && !cameThroughProxy(request.raw.rawHeaders)
}

function admitted (caller: AuditCaller): Judgement {
  return { kind: 'admitted', caller }
}

function refused (refusal: AccessRefusal, caller: AuditCaller = anybody): Judgement {
  return { kind: 'refused', caller, refusal }
}
