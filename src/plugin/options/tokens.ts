import type { Fault } from '../../gateway/internal.ts'
import { readBySchema, Type } from '../../gateway/internal.ts'
import { readTextFile, readToken, readTokenDigest } from '../../raft/internal.ts'
import type { TokenRole } from './access.ts'
import { tokenRoles } from './access.ts'
import { idRule } from './member-rules.ts'

/** A token that a client may show. Its text is not kept. */
export interface Token {
  readonly name: string
  readonly role: TokenRole
  /** SHA-256. */
  readonly digest: Buffer
}

/** The tokens as they were read, and the file to read them from again. */
export interface ResolvedTokens {
  readonly current: readonly Token[]
  readonly file: string | null
}

/** Most tokens: each request is compared with all of them. */
const maxTokens = 100
/** Room for so many, and for white space. */
const maxFileBytes = 262_144

const tokenSchema = Type.Object(
  {
    name: Type.String({ description: 'Names the token in the audit.', ...idRule }),
    role: Type.Unsafe<TokenRole>(Type.String({
      description: 'What its holder may do: read, data (which may read as well) or admin (which may everything).',
      pattern: `^(?:${tokenRoles.join('|')})$`,
      mustBe: 'read, data or admin'
    })),
    token: Type.Optional(Type.String({ description: 'The token, as `fastify-raft token` makes it.' })),
    sha256: Type.Optional(Type.String({ description: 'Instead: its SHA-256 digest, 64 hexadecimal digits.' }))
  },
  { additionalProperties: false }
)

/** A list of tokens, in the options and in a file; {@link readTokenOptions} has the rules. Closed. */
export const tokensSchema = Type.Array(tokenSchema, {
  description:
    'Who may call the routes under `v1`: a request shows one of these tokens as `authorization: Bearer <token>`. ' +
      'Members and gateways that prove who they are need none.',
  maxItems: maxTokens
})

/** The options that name tokens, or what stands in their place. */
interface TokenOptions {
  readonly tokens?: unknown
  readonly tokensFile?: string
  readonly authorize?: unknown
}

/**
 * Reads the tokens from the options, whose schema has been checked, or from their file; null when there are none, or
 * when a fault was found. No fault repeats a token.
 */
export function readTokenOptions (options: TokenOptions, faults: Fault[]): ResolvedTokens | null {
  const { tokens, tokensFile, authorize } = options
  if (authorize !== undefined && typeof authorize !== 'function') {
    faults.push({ path: 'authorize', message: 'must be a function' })
  }
  if (authorize !== undefined && (tokens !== undefined || tokensFile !== undefined)) {
    faults.push({
      path: 'authorize',
      message: 'must not be given together with tokens or tokensFile: one of them decides'
    })
  }
  if (tokens !== undefined && tokensFile !== undefined) {
    faults.push({ path: 'tokensFile', message: 'must not be given together with tokens' })
    return null
  }
  if (tokens !== undefined) return { current: readTokens(tokens, 'tokens', faults), file: null }
  if (tokensFile === undefined) return null
  const reading = readTokensFile(tokensFile)
  if (reading.kind === 'tokens') return { current: reading.current, file: tokensFile }
  faults.push(...reading.messages.map((message) => ({ path: 'tokensFile', message })))
  return null
}

/** What {@link readTokensFile} found. Each message names the file. */
type TokensFileReading =
  | { readonly kind: 'tokens', readonly current: readonly Token[] }
  | { readonly kind: 'faults', readonly messages: readonly string[] }

/** Reads a file with a list of tokens in JSON, of the form of the option `tokens`. No message repeats a token. */
export function readTokensFile (path: string): TokensFileReading {
  const file = readTextFile(path, { maxBytes: maxFileBytes, isPrivate: true })
  if (file.kind === 'fault') return { kind: 'faults', messages: [file.message] }
  const list = parseJson(file.text)
  if (list === undefined) return { kind: 'faults', messages: [`${path} is no JSON`] }
  const faults: Fault[] = []
  readBySchema(tokensSchema, list, '', faults)
  const current = readTokens(list, '', faults)
  if (faults.length === 0) return { kind: 'tokens', current }
  const messages = faults.map((fault) => `${path}: ${`${fault.path} ${fault.message}`.trim()}`)
  return { kind: 'faults', messages }
}

/** Undefined for what is no JSON. Without the parser's message: it quotes the text. */
function parseJson (text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** What the schema has refused is passed over: it has been named. */
function readTokens (list: unknown, path: string, faults: Fault[]): readonly Token[] {
  const read: Token[] = []
  const names = new Map<string, string>()
  const digests = new Map<string, string>()
  const once = (seen: Map<string, string>, value: string, place: string, message: (first: string) => string): void => {
    const first = seen.get(value)
    if (first === undefined) seen.set(value, place)
    else faults.push({ path: place, message: message(first) })
  }
  for (const [index, item] of (Array.isArray(list) ? list as readonly unknown[] : []).entries()) {
    if (typeof item !== 'object' || item === null) continue
    const place = `${path}[${index}]`
    const { name, role, token, sha256 } = item as { readonly [Name in keyof Token | 'token' | 'sha256']?: unknown }
    if (typeof name === 'string') once(names, name, `${place}.name`, (first) => `"${name}" is ${first} already`)
    const digest = readDigest({ token, sha256 }, place, faults)
    if (digest === null) continue
    once(digests, digest.toString('hex'), place, (first) => `is the same token as ${first}`)
    if (typeof name === 'string' && isRole(role)) read.push({ name, role, digest })
  }
  return read
}

function readDigest (
  { token, sha256 }: { readonly token: unknown, readonly sha256: unknown },
  place: string,
  faults: Fault[]
): Buffer | null {
  if (token !== undefined && sha256 !== undefined) {
    faults.push({ path: place, message: 'must have either token or sha256, not both' })
    return null
  }
  if (token === undefined && sha256 === undefined) {
    faults.push({ path: place, message: 'must have token or sha256' })
    return null
  }
  const text = token ?? sha256
  if (typeof text !== 'string') return null
  const reading = token === undefined ? readTokenDigest(text) : readToken(text)
  if (reading.kind === 'digest') return reading.digest
  faults.push({ path: `${place}.${token === undefined ? 'sha256' : 'token'}`, message: reading.message })
  return null
}

function isRole (value: unknown): value is TokenRole {
  return tokenRoles.some((role) => role === value)
}
