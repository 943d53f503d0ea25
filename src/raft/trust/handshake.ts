import { createSecretKey, type KeyObject, randomBytes } from 'node:crypto'
import type { NodeId } from '../core/index.ts'
import { asNodeId } from '../core/index.ts'
import { MalformedMessageError } from '../errors.ts'
import { BinaryReader, BinaryWriter } from '../runtime/binary.ts'
import { isSameMac, macBytes, macOf } from './seal.ts'
import type { Secret } from './secret.ts'

/** Version of the handshake; a node refuses any other. */
const handshakeVersion = 1
const magic = Buffer.from('FRH')
const nonceBytes = 32
const sessionIdBytes = 16

/** Who wants a session with whom. */
export interface Pair {
  readonly clusterId: string
  readonly from: NodeId
  readonly to: NodeId
}

/** A session as both sides know it. */
export interface SessionKeys {
  readonly id: string
  readonly key: KeyObject
  /** The secret that it was made with: without that it ends. */
  readonly secret: Secret
}

/**
 * The first message of a handshake. Its MAC shows that its sender knows the secret; it may be a replay, so it proves no
 * more than that.
 */
export function encodeHello ({ clusterId, from, to }: Pair, secret: Secret): Buffer {
  const writer = writeHead(256)
  writer.string(clusterId)
  writer.string(from)
  writer.string(to)
  writer.raw(randomBytes(nonceBytes))
  return withMac(writer, secret, 'hello')
}

/** What a hello says; the secret is null when none of those known made its MAC. */
export function decodeHello (
  hello: Uint8Array,
  secrets: readonly Secret[]
): { readonly pair: Pair, readonly secret: Secret | null } {
  const reader = readHead(hello)
  const pair = { clusterId: reader.string(), from: asNodeId(reader.string()), to: asNodeId(reader.string()) }
  reader.raw(nonceBytes + macBytes)
  reader.end()
  const secret = secrets.find((known) => hasMac(hello, known, 'hello')) ?? null
  return { pair, secret }
}

/** Answers a hello: a new session, and the proof that this side knows the secret and saw this hello. */
export function encodeWelcome (
  hello: Uint8Array,
  secret: Secret
): { readonly welcome: Buffer, readonly session: SessionKeys } {
  const writer = writeHead(128)
  writer.raw(randomBytes(sessionIdBytes))
  writer.raw(randomBytes(nonceBytes))
  const welcome = withMac(writer, secret, 'welcome', hello)
  return { welcome, session: sessionOf(hello, welcome, secret) }
}

/** The session that a welcome opens; null when it does not prove to know the secret, or answers another hello. */
export function openWelcome (hello: Uint8Array, welcome: Uint8Array, secret: Secret): SessionKeys | null {
  const reader = readHead(welcome)
  reader.raw(sessionIdBytes + nonceBytes + macBytes)
  reader.end()
  return hasMac(welcome, secret, 'welcome', hello) ? sessionOf(hello, welcome, secret) : null
}

/** Reads what both messages begin with; what follows is still to be read. */
function readHead (message: Uint8Array): BinaryReader {
  const reader = new BinaryReader(message)
  if (!magic.equals(reader.raw(magic.byteLength))) throw new MalformedMessageError('it is not of this protocol')
  const version = reader.byte()
  if (version !== handshakeVersion) throw new MalformedMessageError(`handshake version ${version} is unknown`)
  return reader
}

/** What both messages begin with. */
function writeHead (initialBytes: number): BinaryWriter {
  const writer = new BinaryWriter(initialBytes)
  writer.raw(magic)
  writer.byte(handshakeVersion)
  return writer
}

/** The key depends on both nonces: neither side alone can bring a former session back. */
function sessionOf (hello: Uint8Array, welcome: Uint8Array, secret: Secret): SessionKeys {
  const idAt = magic.byteLength + 1
  return {
    id: Buffer.from(welcome.subarray(idAt, idAt + sessionIdBytes)).toString('hex'),
    key: createSecretKey(macOf(secret.peerKey, 'session\n', hello, welcome)),
    secret
  }
}

function withMac (writer: BinaryWriter, secret: Secret, label: string, ...before: readonly Uint8Array[]): Buffer {
  const content = writer.finish()
  return Buffer.concat([content, macOf(secret.peerKey, `${label}\n`, ...before, content)])
}

function hasMac (message: Uint8Array, secret: Secret, label: string, ...before: readonly Uint8Array[]): boolean {
  const content = message.subarray(0, -macBytes)
  return isSameMac(macOf(secret.peerKey, `${label}\n`, ...before, content), message.subarray(-macBytes))
}
