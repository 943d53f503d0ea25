import { createHash, randomBytes } from 'node:crypto'

/** Bytes of a SHA-256 digest. */
const digestBytes = 32
/** Random bytes in a token that is made here. */
const madeBytes = 32

/**
 * Fewest random bits in a token: nobody guesses it (RFC 6749 section 10.10 asks for 2^-128), not even who has its
 * digest, so that digests need no salt and no slow hash.
 */
const minTokenBits = 128
/** Fewest different characters. 32 random hexadecimal digits have fewer once in some 10^7 tokens. */
const minDistinctCharacters = 8
const maxTokenLength = 1_024

/** What {@link readToken} found. */
type TokenReading =
  | { readonly kind: 'digest', readonly digest: Buffer }
  | { readonly kind: 'fault', readonly message: string }

/** Makes the text of a new token: 32 random bytes in base64url. */
export function makeToken (): string {
  return randomBytes(madeBytes).toString('base64url')
}

/** The SHA-256 digest that a token is known by. */
export function tokenDigest (token: string): Buffer {
  return createHash('sha256').update(token).digest()
}

/** The form of a token in a header field: `b64token` of RFC 6750 section 2.1. */
const tokenForm = /^[\w.~+/-]+=*$/

/**
 * Reads a token for whoever is to know it by its digest. How random it is cannot be seen; what cannot hold 128 random
 * bits is refused. The fault never repeats the text.
 */
export function readToken (text: string): TokenReading {
  if (text.length > maxTokenLength) return fault(`must have at most ${maxTokenLength} characters`)
  if (!tokenForm.test(text)) return fault('must be letters, digits and any of -._~+/ alone')
  if (mostBits(text) < minTokenBits) {
    return fault(`must hold ${minTokenBits} random bits: 22 characters of base64url, or 32 hexadecimal digits`)
  }
  if (new Set(text).size < minDistinctCharacters) return fault('must be random, and repeats itself')
  return { kind: 'digest', digest: tokenDigest(text) }
}

/** Reads the SHA-256 digest of a token, in hexadecimal. */
export function readTokenDigest (text: string): TokenReading {
  if (!/^[0-9a-f]{64}$/i.test(text)) {
    return fault(`must be the ${2 * digestBytes} hexadecimal digits of a SHA-256 digest`)
  }
  return { kind: 'digest', digest: Buffer.from(text, 'hex') }
}

function fault (rule: string): TokenReading {
  return { kind: 'fault', message: `${rule}; "fastify-raft token" makes one` }
}

/** Bits that a text of this length and alphabet holds at most. */
function mostBits (text: string): number {
  const unpadded = text.replace(/=+$/, '')
  const alphabet = /^\d+$/.test(unpadded) ? 10 : /^[\da-f]+$/i.test(unpadded) ? 16 : 64
  return Math.floor(unpadded.length * Math.log2(alphabet))
}
