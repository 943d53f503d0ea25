import { createHash, createSecretKey, hkdfSync, type KeyObject, randomBytes } from 'node:crypto'

/** Fewest random bytes in a secret. */
const minSecretBytes = 32

/**
 * Fewest different byte values in a secret. 32 random bytes have fewer once in some 10^12 secrets; a repeated word or a
 * pattern has fewer nearly always.
 */
const minDistinctBytes = 16

/** A secret of any kind. */
export interface KeptSecret {
  /** Names the secret in logs, and tells nothing about it: the start of a hash. */
  readonly fingerprint: string
}

/** What a gateway holds of a secret: it can be made from the secret, and the secret not from it. */
export interface GatewaySecret extends KeptSecret {
  /** Key of what gateways prove. */
  readonly gatewayKey: KeyObject
}

/** A secret that the nodes of a cluster share, ready for use. */
export interface Secret extends GatewaySecret {
  /** Key of the handshake between two peers. */
  readonly peerKey: KeyObject
  /** Key of what nodes prove outside of their sessions: requests that they forward, calls of each other's routes. */
  readonly callKey: KeyObject
}

/** The secrets that count at the moment. They may change, from one use to the next. */
export interface Secrets {
  /** At least one. Messages are sent with the first one that the peer knows; any of them is accepted. */
  readonly current: readonly Secret[]
}

/** The gateway's secrets that count at the moment, as {@link Secrets} for nodes. */
export interface GatewaySecrets {
  readonly current: readonly GatewaySecret[]
}

/** What {@link readSecret} or {@link readGatewaySecret} found. */
type SecretReading<S extends KeptSecret = Secret> =
  | { readonly kind: 'secret', readonly secret: S }
  | { readonly kind: 'fault', readonly message: string }

/** Makes the text of a new secret: 32 random bytes in base64url. */
export function makeSecret (): string {
  return randomBytes(minSecretBytes).toString('base64url')
}

/**
 * Reads a secret: at least 32 random bytes in hexadecimal, base64 or base64url, with or without white space around. The
 * fault names what is wrong and never repeats the text.
 */
export function readSecret (text: string): SecretReading {
  if (text.trim().startsWith(gatewayPrefix)) return fault('is that of a gateway, and the nodes need their own')
  const bytes = decode(text.trim())
  if (bytes === null) return fault('must be random bytes in hexadecimal, base64 or base64url')
  if (bytes.byteLength < minSecretBytes) {
    return fault(`must hold at least ${minSecretBytes} random bytes, and holds ${bytes.byteLength}`)
  }
  if (new Set(bytes).size < minDistinctBytes) return fault('must be random, and repeats itself')
  return { kind: 'secret', secret: secretOf(bytes) }
}

/** Most secrets at once: the one in use and the one that replaces it. */
const maxSecrets = 2

/** What {@link readSecrets} found; faults by position. */
export type SecretsReading<S extends KeptSecret = Secret> =
  | { readonly kind: 'secrets', readonly current: readonly S[] }
  | { readonly kind: 'faults', readonly faults: ReadonlyArray<{ readonly position: number, readonly message: string }> }

/** Reads the secrets of one kind: one, or two. */
export type ReadSecrets<S extends KeptSecret> = (texts: readonly string[]) => SecretsReading<S>

/** Reads one secret or two. Names every fault. */
export function readSecrets (texts: readonly string[]): SecretsReading {
  return readEach(texts, readSecret)
}

/** What the text of a gateway's secret begins with: no node takes it for one of its own, nor the other way round. */
const gatewayPrefix = 'gateway:'

/** The text of the secret for gateways that follows from a secret of the nodes. */
export function gatewaySecretOf ({ gatewayKey }: Secret): string {
  return gatewayPrefix + gatewayKey.export().toString('base64url')
}

/** Reads a secret for a gateway, as {@link gatewaySecretOf} writes it, with or without white space around. */
function readGatewaySecret (text: string): SecretReading<GatewaySecret> {
  const [, encoded] = /^gateway:([\w-]{43})$/.exec(text.trim()) ?? []
  if (encoded === undefined) {
    const what = readSecret(text).kind === 'secret' ? 'is that of the nodes' : 'is no secret for a gateway'
    const wayOut = 'make one from that of the nodes with "fastify-raft secret --for gateway"'
    return { kind: 'fault', message: `${what}: ${wayOut}` }
  }
  const bytes = Buffer.from(encoded, 'base64url')
  return { kind: 'secret', secret: { fingerprint: fingerprintOf(bytes), gatewayKey: createSecretKey(bytes) } }
}

/** Reads one secret for a gateway or two. Names every fault. */
export function readGatewaySecrets (texts: readonly string[]): SecretsReading<GatewaySecret> {
  return readEach(texts, readGatewaySecret)
}

function readEach<S extends KeptSecret> (
  texts: readonly string[],
  read: (text: string) => SecretReading<S>
): SecretsReading<S> {
  const current: S[] = []
  const faults: Array<{ readonly position: number, readonly message: string }> = []
  for (const [position, text] of texts.entries()) {
    const reading = read(text)
    if (reading.kind === 'fault') faults.push({ position, message: reading.message })
    else if (current.some(({ fingerprint }) => fingerprint === reading.secret.fingerprint)) {
      faults.push({ position, message: 'is the same secret twice: give one, or the old one and the new one' })
    } else current.push(reading.secret)
  }
  if (texts.length > maxSecrets) {
    faults.push({ position: maxSecrets, message: `is one more than the ${maxSecrets} secrets that may be given` })
  }
  return faults.length === 0 ? { kind: 'secrets', current } : { kind: 'faults', faults }
}

function fault (rule: string): SecretReading & { readonly kind: 'fault' } {
  return { kind: 'fault', message: `${rule}: make one with "fastify-raft secret"` }
}

function decode (text: string): Buffer | null {
  if (/^(?:[0-9a-f]{2})+$/i.test(text)) return Buffer.from(text, 'hex')
  // Node.js reads both alphabets as base64url.
  if (/^[\w+/-]+={0,2}$/.test(text) && text.length % 4 !== 1) return Buffer.from(text, 'base64url')
  return null
}

function secretOf (bytes: Buffer): Secret {
  return {
    fingerprint: fingerprintOf(bytes),
    peerKey: derive(bytes, 'fastify-raft peer 1'),
    callKey: derive(bytes, 'fastify-raft call 1'),
    gatewayKey: derive(bytes, 'fastify-raft gateway 1')
  }
}

function fingerprintOf (bytes: Buffer): string {
  return createHash('sha256').update('fastify-raft fingerprint').update(bytes).digest('hex').slice(0, 12)
}

/** One key for one use (RFC 5869): what is learnt of one says nothing about another. */
function derive (bytes: Buffer, use: string): KeyObject {
  return createSecretKey(Buffer.from(hkdfSync('sha256', bytes, '', use, 32)))
}
