import type {
  AppendRequest,
  AppendResponse,
  ClusterMark,
  Entry,
  EntryKind,
  Message,
  NodeId,
  ProposeRefusal
} from '../core/index.ts'
import { asIndex, asNodeId, asTerm, totalBytes } from '../core/index.ts'
import type { Member } from '../engine.ts'
import { MalformedMessageError } from '../errors.ts'
import { BinaryReader, BinaryWriter } from '../runtime/binary.ts'
import { decodeEntry, encodeContent } from '../runtime/entry-codec.ts'
import { peerLimits } from './peer-limits.ts'

/** Version of the peer protocol; a node refuses any other. */
const protocolVersion = 2

const magic = Buffer.from('FRP')

/** Sender and receiver of a body, in which cluster, and the logs that they keep. */
export interface Address {
  readonly clusterId: string
  readonly from: NodeId
  readonly to: NodeId
  /** Which log the sender keeps. */
  readonly incarnation: string
  /** Which log the receiver must keep to be the member that the sender knows; empty when it does not know. */
  readonly expectedIncarnation: string
  /** Which cluster of that name the sender's log belongs to; undefined as long as its log does not say. */
  readonly cluster?: ClusterMark | undefined
}

/** The order is the wire format: append only. */
const markKinds = ['none', 'named', 'committed'] as const

/** The order is the wire format: append only. */
const kinds = [
  'pre-vote-request', 'pre-vote-response', 'vote-request', 'vote-response',
  'append-request', 'append-response', 'heartbeat-request', 'heartbeat-response',
  'read-request', 'read-response', 'timeout-now'
] as const satisfies ReadonlyArray<Message['kind']>

/** The order is the wire format: append only. */
const entryKinds = ['noop', 'command', 'configuration'] as const satisfies readonly EntryKind[]

const kindNumbers = new Map<Message['kind'], number>(kinds.map((kind, number) => [kind, number]))
const appendNumber = kinds.indexOf('append-request')

export function writeAddress (writer: BinaryWriter, address: Address): void {
  writer.raw(magic)
  writer.byte(protocolVersion)
  writer.string(address.clusterId)
  writer.string(address.from)
  writer.string(address.to)
  writer.string(address.incarnation)
  writer.string(address.expectedIncarnation)
  const { cluster } = address
  writer.byte(markKinds.indexOf(cluster === undefined ? 'none' : cluster.isCommitted ? 'committed' : 'named'))
  if (cluster !== undefined) writer.string(cluster.uuid)
}

function readId (reader: BinaryReader): string {
  const id = reader.string()
  if (id.length > peerLimits.maxIdLength) throw new MalformedMessageError('an id is too long')
  return id
}

export function readAddress (reader: BinaryReader): Address {
  if (!magic.equals(reader.raw(magic.byteLength))) throw new MalformedMessageError('it is not of this protocol')
  const version = reader.byte()
  if (version !== protocolVersion) throw new MalformedMessageError(`protocol version ${version} is unknown`)
  return {
    clusterId: readId(reader),
    from: asNodeId(readId(reader)),
    to: asNodeId(readId(reader)),
    incarnation: readId(reader),
    expectedIncarnation: readId(reader),
    cluster: readMark(reader)
  }
}

function readMark (reader: BinaryReader): ClusterMark | undefined {
  const kind = markKinds[reader.byte()]
  if (kind === 'none') return undefined
  const uuid = readId(reader)
  if (kind === undefined || uuid === '') throw new MalformedMessageError('a cluster is named in no known way')
  return { uuid, isCommitted: kind === 'committed' }
}

/** What an entry takes beside its content, at most. */
const entryOverheadBytes = 32

/** About how many bytes a message takes on the wire; rather more than less. */
export function messageBytes (message: Message): number {
  return message.kind === 'append-request'
    ? totalBytes(message.entries) + entryOverheadBytes * message.entries.length + 64
    : 64
}

const noNonce = new Uint8Array(0)

/** Encodes messages between two nodes as one body; requests tell the sender's nonce and clock as well. */
export function encodeMessages (
  address: Address,
  messages: readonly Message[],
  nonce: Uint8Array = noNonce,
  clockMs = 0
): Buffer {
  // Room for all of it at once: growing would copy what the same batch holds several times over.
  const writer = new BinaryWriter(messages.reduce((total, message) => total + messageBytes(message), 256))
  writeAddress(writer, address)
  writer.bytes(nonce)
  writer.number(clockMs)
  writer.number(messages.length)
  for (const message of messages) writeMessage(writer, message)
  return writer.finish()
}

/**
 * Encodes appends of one term to one peer as one body. Those that follow each other travel as one: it is appended,
 * written and answered at once, and the answer to it means what the answers to all of them would.
 */
export function encodeAppends (
  address: Address,
  appends: readonly AppendRequest[],
  nonce: Uint8Array,
  clockMs = 0
): Buffer {
  const runs = runsOf(appends)
  const writer = new BinaryWriter(appends.reduce((total, append) => total + messageBytes(append), 256))
  writeAddress(writer, address)
  writer.bytes(nonce)
  writer.number(clockMs)
  writer.number(runs.length)
  for (const run of runs) writeRun(writer, run)
  return writer.finish()
}

function runsOf (appends: readonly AppendRequest[]): ReadonlyArray<readonly AppendRequest[]> {
  const runs: AppendRequest[][] = []
  for (const append of appends) {
    const run = runs.at(-1)
    const last = run?.at(-1)
    if (run !== undefined && last !== undefined && follows(append, last)) run.push(append)
    else runs.push([append])
  }
  return runs
}

function follows (append: AppendRequest, before: AppendRequest): boolean {
  const last = before.entries.at(-1)
  return append.term === before.term && append.commit >= before.commit &&
    append.prevIndex === (last?.index ?? before.prevIndex) && append.prevTerm === (last?.term ?? before.prevTerm)
}

/** Decodes a body; throws `RAFT_MALFORMED_MESSAGE` for anything that the two above do not produce. */
export function decodeMessages (body: Uint8Array): {
  readonly address: Address
  readonly messages: readonly Message[]
  /** Empty when the sender told none. */
  readonly nonce: Uint8Array
  /** What the sender's monotonic clock showed; 0 when it told none. */
  readonly clockMs: number
} {
  // An entry lives as long as the log, the body of a request must not. One copy serves all entries of a batch, which
  // are nearly all of it, and are forgotten together.
  const reader = new BinaryReader(new Uint8Array(body))
  const address = readAddress(reader)
  const nonce = reader.bytes()
  const clockMs = reader.number()
  const messages: Message[] = []
  let entries = 0
  for (let left = reader.count(peerLimits.maxMessages); left > 0; left--) {
    const message = readMessage(reader, address, peerLimits.maxEntries - entries)
    if (message.kind === 'append-request') entries += message.entries.length
    messages.push(message)
  }
  reader.end()
  return { address, messages, nonce, clockMs }
}

function writeMessage (writer: BinaryWriter, message: Message): void {
  writer.byte(kindNumbers.get(message.kind) ?? 0)
  writer.number(message.term)
  switch (message.kind) {
    case 'pre-vote-request':
      writer.number(message.lastIndex)
      writer.number(message.lastTerm)
      return
    case 'vote-request':
      writer.number(message.lastIndex)
      writer.number(message.lastTerm)
      writer.byte(message.isTransfer ? 1 : 0)
      return
    case 'pre-vote-response':
    case 'vote-response':
      writer.byte(message.granted ? 1 : 0)
      return
    case 'append-request':
      writeAppend(writer, message, message.commit, [message])
      return
    case 'append-response':
      writer.number(message.prevIndex)
      if (message.result.kind === 'accepted') {
        writer.byte(1)
        writer.number(message.result.matchIndex)
      } else {
        writer.byte(0)
        writer.number(message.result.hintIndex)
        writer.number(message.result.hintTerm)
      }
      return
    case 'heartbeat-request':
      writer.number(message.commit)
      writer.number(message.round)
      return
    case 'heartbeat-response':
      writer.number(message.round)
      return
    case 'read-request':
      writer.number(message.context)
      return
    case 'timeout-now':
      return
    case 'read-response':
      writer.number(message.context)
      writer.number(message.index)
  }
}

function writeRun (writer: BinaryWriter, run: readonly AppendRequest[]): void {
  const [first, last] = [run[0], run.at(-1)]
  if (first === undefined || last === undefined) return
  writer.byte(appendNumber)
  writer.number(first.term)
  writeAppend(writer, first, last.commit, run)
}

function writeAppend (
  writer: BinaryWriter,
  { prevIndex, prevTerm }: AppendRequest,
  commit: number,
  parts: readonly AppendRequest[]
): void {
  writer.number(prevIndex)
  writer.number(prevTerm)
  writer.number(commit)
  writer.number(parts.reduce((count, { entries }) => count + entries.length, 0))
  for (const { entries } of parts) if (entries.length > 0) writer.raw(encodedEntries(entries))
}

/** Entries as they travel. All followers that keep up are sent the same ones, which are encoded once for all. */
const encoded = new WeakMap<readonly Entry[], Uint8Array>()

function encodedEntries (entries: readonly Entry[]): Uint8Array {
  const known = encoded.get(entries)
  if (known !== undefined) return known
  const writer = new BinaryWriter(totalBytes(entries) + entryOverheadBytes * entries.length)
  for (const entry of entries) writeEntry(writer, entry)
  const bytes = writer.finish()
  encoded.set(entries, bytes)
  return bytes
}

/** Index and term of an entry are written in full: the receiver checks them against each other. */
function writeEntry (writer: BinaryWriter, entry: Entry): void {
  writer.byte(entryKinds.indexOf(entry.kind))
  writer.number(entry.index)
  writer.number(entry.term)
  writer.number(entry.timeMs)
  writer.bytes(encodeContent(entry))
}

function readEntry (reader: BinaryReader): Entry {
  const kind = entryKinds[reader.byte()]
  if (kind === undefined) throw new MalformedMessageError('an entry kind is unknown')
  const index = asIndex(reader.number())
  const term = asTerm(reader.number())
  const timeMs = reader.number()
  const { buffer, byteOffset, byteLength } = reader.bytes()
  const entry = decodeEntry(kind, index, term, timeMs, new Uint8Array(buffer, byteOffset, byteLength))
  if (entry === null) throw new MalformedMessageError(`an append with a ${kind} that makes no sense`)
  return entry
}

function readFlag (reader: BinaryReader): boolean {
  const value = reader.byte()
  if (value > 1) throw new MalformedMessageError('a flag is neither 0 nor 1')
  return value === 1
}

function readAppendResult (reader: BinaryReader): AppendResponse['result'] {
  return readFlag(reader)
    ? { kind: 'accepted', matchIndex: asIndex(reader.number()) }
    : { kind: 'rejected', hintIndex: asIndex(reader.number()), hintTerm: asTerm(reader.number()) }
}

function readMessage (reader: BinaryReader, { from, to, cluster }: Address, maxEntries: number): Message {
  const kind = kinds[reader.byte()]
  if (kind === undefined) throw new MalformedMessageError('a message kind is unknown')
  const head = { from, to, term: asTerm(reader.number()) }
  const envelope = cluster === undefined ? head : { ...head, cluster }
  switch (kind) {
    case 'pre-vote-request':
      return { ...envelope, kind, lastIndex: asIndex(reader.number()), lastTerm: asTerm(reader.number()) }
    case 'vote-request': {
      const lastIndex = asIndex(reader.number())
      const lastTerm = asTerm(reader.number())
      return { ...envelope, kind, lastIndex, lastTerm, isTransfer: readFlag(reader) }
    }
    case 'pre-vote-response':
    case 'vote-response':
      return { ...envelope, kind, granted: readFlag(reader) }
    case 'append-request': {
      const prevIndex = asIndex(reader.number())
      const prevTerm = asTerm(reader.number())
      const commit = asIndex(reader.number())
      const entries: Entry[] = []
      for (let left = reader.count(maxEntries); left > 0; left--) entries.push(readEntry(reader))
      return { ...envelope, kind, prevIndex, prevTerm, commit, entries }
    }
    case 'append-response':
      return { ...envelope, kind, prevIndex: asIndex(reader.number()), result: readAppendResult(reader) }
    case 'heartbeat-request':
      return { ...envelope, kind, commit: asIndex(reader.number()), round: reader.number() }
    case 'heartbeat-response':
      return { ...envelope, kind, round: reader.number() }
    case 'read-request':
      return { ...envelope, kind, context: reader.number() }
    case 'read-response':
      return { ...envelope, kind, context: reader.number(), index: asIndex(reader.number()) }
    case 'timeout-now':
      return { ...envelope, kind }
  }
}

/** Why commands were not appended: the core's reasons, and that the leader's disk has no room for them. */
export type CommandRefusal = ProposeRefusal | 'low-space'

/** The outcome of forwarded commands: the receiver appended all of them, or none. */
export type ForwardAnswer =
  | { readonly kind: 'appended' }
  | { readonly kind: 'refused', readonly reason: CommandRefusal }

const forwardAnswers = ['appended', 'not-leader', 'busy', 'transferring', 'low-space'] as const

/** Encodes commands that a follower hands to the leader. */
export function encodeCommands (address: Address, commands: readonly Uint8Array[]): Buffer {
  const writer = new BinaryWriter()
  writeAddress(writer, address)
  writer.number(commands.length)
  for (const command of commands) writer.bytes(command)
  return writer.finish()
}

export function decodeCommands (body: Uint8Array): {
  readonly address: Address
  readonly commands: readonly Uint8Array[]
} {
  const reader = new BinaryReader(body)
  const address = readAddress(reader)
  const commands: Uint8Array[] = []
  for (let left = reader.count(peerLimits.maxCommands); left > 0; left--) commands.push(new Uint8Array(reader.bytes()))
  reader.end()
  return { address, commands }
}

export function encodeForwardAnswer (address: Address, answer: ForwardAnswer): Buffer {
  const writer = new BinaryWriter(64)
  writeAddress(writer, address)
  writer.byte(forwardAnswers.indexOf(answer.kind === 'appended' ? 'appended' : answer.reason))
  return writer.finish()
}

export function decodeForwardAnswer (body: Uint8Array): { readonly address: Address, readonly answer: ForwardAnswer } {
  const reader = new BinaryReader(body)
  const address = readAddress(reader)
  const answer = forwardAnswers[reader.byte()]
  reader.end()
  if (answer === undefined) throw new MalformedMessageError('an answer is unknown')
  return { address, answer: answer === 'appended' ? { kind: 'appended' } : { kind: 'refused', reason: answer } }
}

/** Encodes where members are reached as far as the sender knows, itself included: both the question and the answer. */
export function encodeUrls (address: Address, members: readonly Member[]): Buffer {
  const writer = new BinaryWriter()
  writeAddress(writer, address)
  writer.number(members.length)
  for (const { id, url } of members) {
    writer.string(id)
    writer.string(url)
  }
  return writer.finish()
}

/** What a node says of where members are reached. */
export interface UrlsAnswer {
  readonly address: Address
  readonly members: readonly Member[]
}

export function decodeUrls (body: Uint8Array): UrlsAnswer {
  const reader = new BinaryReader(body)
  const address = readAddress(reader)
  const members: Member[] = []
  for (let left = reader.count(peerLimits.maxMembers); left > 0; left--) {
    const id = readId(reader)
    const url = reader.string()
    if (url.length > peerLimits.maxUrlLength) throw new MalformedMessageError('a URL is too long')
    members.push({ id, url })
  }
  reader.end()
  return { address, members }
}
