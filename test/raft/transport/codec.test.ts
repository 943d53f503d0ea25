import { describe, expect, it } from 'vitest'
import type { AppendRequest, Entry, Message } from '../../../src/raft/core/index.ts'
import { asIndex, asNodeId, asTerm } from '../../../src/raft/core/index.ts'
import { BinaryReader, BinaryWriter } from '../../../src/raft/runtime/binary.ts'
import {
  decodeCommands,
  decodeForwardAnswer,
  decodeMessages,
  decodeUrls,
  encodeAppends,
  encodeCommands,
  encodeForwardAnswer,
  encodeMessages,
  encodeUrls,
  writeAddress
} from '../../../src/raft/transport/codec.ts'
import { peerLimits } from '../../../src/raft/transport/peer-limits.ts'

const address = { clusterId: 'orders', from: asNodeId('n1'), to: asNodeId('n2'), incarnation: 'a1', expectedIncarnation: '' }
const envelope = { from: address.from, to: address.to, term: asTerm(7) }

const everyKind: readonly Message[] = [
  { ...envelope, kind: 'pre-vote-request', lastIndex: asIndex(3), lastTerm: asTerm(2) },
  { ...envelope, kind: 'pre-vote-response', granted: true },
  { ...envelope, kind: 'vote-request', lastIndex: asIndex(0), lastTerm: asTerm(0), isTransfer: true },
  { ...envelope, kind: 'vote-response', granted: false },
  {
    ...envelope,
    kind: 'append-request',
    prevIndex: asIndex(127),
    prevTerm: asTerm(5),
    commit: asIndex(128),
    entries: [
      { kind: 'noop', index: asIndex(128), term: asTerm(6), timeMs: 1_790_000_000_000 },
      {
        kind: 'command',
        index: asIndex(129),
        term: asTerm(7),
        timeMs: 1_790_000_000_001,
        data: Uint8Array.of(0, 255, 128)
      }
    ]
  },
  {
    ...envelope,
    kind: 'append-response',
    prevIndex: asIndex(127),
    result: { kind: 'accepted', matchIndex: asIndex(129) }
  },
  {
    ...envelope,
    kind: 'append-response',
    prevIndex: asIndex(127),
    result: { kind: 'rejected', hintIndex: asIndex(9), hintTerm: asTerm(4) }
  },
  { ...envelope, kind: 'heartbeat-request', commit: asIndex(2 ** 40), round: 12 },
  { ...envelope, kind: 'heartbeat-response', round: 12 },
  { ...envelope, kind: 'read-request', context: 99 },
  { ...envelope, kind: 'read-response', context: 99, index: asIndex(128) },
  { ...envelope, kind: 'timeout-now' }
]

const none = Buffer.alloc(0)
const malformed = expect.objectContaining({ code: 'RAFT_MALFORMED_MESSAGE', statusCode: 400 }) as Error

describe('message codec', () => {
  it('reads back every kind of message', () => {
    const decoded = decodeMessages(encodeMessages(address, everyKind))
    expect(decoded).toEqual({ address, messages: everyKind, nonce: none, clockMs: 0 })
  })

  it('tells the hop key of the sender', () => {
    const key = Uint8Array.from({ length: 32 }, (_, index) => index)
    expect([...decodeMessages(encodeMessages(address, everyKind, key)).nonce]).toEqual([...key])
  })

  it('tells the clock of the sender', () => {
    expect(decodeMessages(encodeMessages(address, everyKind, none, 86_400_000)).clockMs).toBe(86_400_000)
    expect(decodeMessages(encodeAppends(address, [], none, 86_400_000)).clockMs).toBe(86_400_000)
  })

  it('names the cluster of the sender once, for the body and for each of its messages', () => {
    for (const isCommitted of [true, false]) {
      const cluster = { uuid: 'f81d4fae', isCommitted }
      const body = encodeMessages({ ...address, cluster }, everyKind)
      const messages = everyKind.map((message) => ({ ...message, cluster }))
      expect(decodeMessages(body)).toEqual({ address: { ...address, cluster }, messages, nonce: none, clockMs: 0 })
    }
    const nameless = encodeMessages({ ...address, cluster: { uuid: '', isCommitted: true } }, everyKind)
    expect(() => decodeMessages(nameless)).toThrow(malformed)
  })

  it('refuses every shortened body', () => {
    const body = encodeMessages(address, everyKind)
    for (let length = 0; length < body.byteLength; length++) {
      expect(() => decodeMessages(body.subarray(0, length)), `cut at ${length}`).toThrow(malformed)
    }
  })

  it('refuses ids that no node has: senders are remembered', () => {
    const long = 'x'.repeat(1_025)
    for (const field of [
      { clusterId: long },
      { from: asNodeId(long) },
      { to: asNodeId(long) },
      { incarnation: long },
      { expectedIncarnation: long },
      { cluster: { uuid: long, isCommitted: true } }
    ]) expect(() => decodeMessages(encodeMessages({ ...address, ...field }, []))).toThrow(malformed)
  })

  it('refuses bytes behind the end', () => {
    expect(() => decodeMessages(Buffer.concat([encodeMessages(address, everyKind), Buffer.of(0)]))).toThrow(malformed)
  })

  it('reads or refuses a body with any one byte changed, and throws no other error', () => {
    const body = encodeMessages(address, everyKind)
    let refused = 0
    for (let position = 0; position < body.byteLength; position++) {
      for (const flip of [0x01, 0x80, 0xff]) {
        const changed = Buffer.from(body)
        changed[position] = (changed[position] ?? 0) ^ flip
        try {
          decodeMessages(changed)
        } catch (error) {
          expect(error).toEqual(malformed)
          refused++
        }
      }
    }
    expect(refused).toBeGreaterThan(0)
  })

  it('refuses numbers beyond 2^48 and counts beyond the body', () => {
    const writer = new BinaryWriter()
    writer.number(Number.MAX_SAFE_INTEGER)
    expect(() => new BinaryReader(writer.finish()).number()).toThrow(malformed)
    const endless = new Uint8Array(64).fill(0xff)
    expect(() => new BinaryReader(endless).number()).toThrow(malformed)
    const count = new BinaryWriter()
    count.number(1_000_000)
    expect(() => new BinaryReader(count.finish()).count(100)).toThrow(malformed)
  })

  it('refuses counts above its limits, however small the items are', () => {
    const bodyOf = (count: number, item: readonly number[]): Buffer => {
      const writer = new BinaryWriter()
      writeAddress(writer, address)
      writer.number(count)
      writer.raw(Buffer.alloc(count * item.length, Uint8Array.from(item)))
      return writer.finish()
    }
    expect(decodeCommands(bodyOf(10, [0])).commands).toHaveLength(10)
    expect(() => decodeCommands(bodyOf(peerLimits.maxCommands + 1, [0]))).toThrow('a count is above')
    expect(decodeUrls(bodyOf(10, [0, 0])).members).toHaveLength(10)
    expect(() => decodeUrls(bodyOf(peerLimits.maxMembers + 1, [0, 0]))).toThrow('a count is above')
    const timeouts = (count: number): Message[] => Array<Message>(count).fill({ ...envelope, kind: 'timeout-now' })
    expect(decodeMessages(encodeMessages(address, timeouts(peerLimits.maxMessages))).messages).toHaveLength(4_096)
    expect(() => decodeMessages(encodeMessages(address, timeouts(peerLimits.maxMessages + 1)))).toThrow('is above 4096')
  })

  it('refuses more entries than a body may hold, in one append or in several', () => {
    const append = (count: number): Message => ({
      ...envelope,
      kind: 'append-request',
      prevIndex: asIndex(0),
      prevTerm: asTerm(0),
      commit: asIndex(0),
      entries: Array<Entry>(count).fill({ kind: 'noop', index: asIndex(1), term: asTerm(1), timeMs: 0 })
    })
    const half = peerLimits.maxEntries / 2
    expect(decodeMessages(encodeMessages(address, [append(half), append(half)])).messages).toHaveLength(2)
    expect(() => decodeMessages(encodeMessages(address, [append(half), append(half + 1)]))).toThrow('is above 131072')
    expect(() => decodeMessages(encodeMessages(address, [append(2 * half + 1)]))).toThrow('is above 262144')
  })

  it('refuses ids and URLs that no member has', () => {
    const long = 'x'.repeat(peerLimits.maxIdLength + 1)
    expect(() => decodeMessages(encodeMessages({ ...address, from: asNodeId(long) }, []))).toThrow('an id is too long')
    expect(() => decodeUrls(encodeUrls(address, [{ id: long, url: '' }]))).toThrow('an id is too long')
    const url = `http://${'x'.repeat(peerLimits.maxUrlLength)}`
    expect(() => decodeUrls(encodeUrls(address, [{ id: 'n1', url }]))).toThrow('a URL is too long')
  })

  it('writes only non-negative safe integers', () => {
    for (const value of [-1, 0.5, NaN, Infinity, 2 ** 53]) {
      expect(() => new BinaryWriter().number(value)).toThrow(RangeError)
    }
  })

  it('carries numbers at the edges of their encoding', () => {
    for (const value of [0, 1, 127, 128, 16_383, 16_384, 2 ** 31, 2 ** 32 + 1, 2 ** 48]) {
      const writer = new BinaryWriter(1)
      writer.number(value)
      expect(new BinaryReader(writer.finish()).number()).toBe(value)
    }
  })

  it('carries texts beyond ASCII, and the empty text', () => {
    const texts = ['', 'n1', 'ä', '語', '\u{1f600}', 'ÿ'.repeat(200)]
    const writer = new BinaryWriter(1)
    for (const text of texts) writer.string(text)
    const reader = new BinaryReader(writer.finish())
    expect(texts.map(() => reader.string())).toEqual(texts)
    expect(reader.remaining).toBe(0)
  })

  it('refuses texts and bytes that end past the body', () => {
    const writer = new BinaryWriter()
    writer.string('four')
    const cut = writer.finish().subarray(0, 4)
    expect(() => new BinaryReader(cut).string()).toThrow(malformed)
    expect(() => new BinaryReader(cut).bytes()).toThrow(malformed)
    expect(() => new BinaryReader(cut).raw(5)).toThrow(malformed)
  })

  it('refuses every shortened body of commands', () => {
    const body = encodeCommands(address, [Uint8Array.of(1), Uint8Array.of(2, 3)])
    for (let length = 0; length < body.byteLength; length++) {
      expect(() => decodeCommands(body.subarray(0, length)), `cut at ${length}`).toThrow(malformed)
    }
  })

  it('reads back commands and the answer to them', () => {
    const commands = [Uint8Array.of(1), new Uint8Array(0), Uint8Array.of(2, 3)]
    expect(decodeCommands(encodeCommands(address, commands))).toEqual({ address, commands })
    for (const answer of [
      { kind: 'appended' },
      { kind: 'refused', reason: 'busy' },
      { kind: 'refused', reason: 'low-space' },
      { kind: 'refused', reason: 'not-leader' }
    ] as const) {
      expect(decodeForwardAnswer(encodeForwardAnswer(address, answer))).toEqual({ address, answer })
    }
  })

  it('reads back URLs of members, and refuses every shortened body of them', () => {
    const members = [{ id: 'n1', url: 'http://127.0.0.1:4001' }, { id: 'n2', url: '' }]
    const body = encodeUrls(address, members)
    expect(decodeUrls(body)).toEqual({ address, members })
    for (let length = 0; length < body.byteLength; length++) {
      expect(() => decodeUrls(body.subarray(0, length))).toThrow(malformed)
    }
    expect(() => decodeUrls(Buffer.concat([body, Buffer.of(0)]))).toThrow(malformed)
  })
})

describe('appends to one peer', () => {
  function entriesOf (first: number, last: number, term = 7): Entry[] {
    return Array.from({ length: last - first + 1 }, (_, at) => ({
      kind: 'command', index: asIndex(first + at), term: asTerm(term), timeMs: 1_790_000_000_000, data: Uint8Array.of(first + at)
    }))
  }

  function append (prevIndex: number, entries: Entry[], commit = 0, prevTerm = 7): AppendRequest {
    const [prev, committed] = [asIndex(prevIndex), asIndex(commit)]
    return { ...envelope, kind: 'append-request', prevIndex: prev, prevTerm: asTerm(prevTerm), commit: committed, entries }
  }

  function decoded (appends: readonly AppendRequest[]): readonly Message[] {
    return decodeMessages(encodeAppends(address, appends, none)).messages
  }

  it('travel as one that has all their entries and the last commit index, when they follow each other', () => {
    const appends = [
      append(4, entriesOf(5, 9, 6), 3, 5),
      append(9, entriesOf(10, 11), 4, 6),
      append(11, [], 9),
      append(11, entriesOf(12, 12), 9)
    ]
    expect(decoded(appends)).toEqual([append(4, [...entriesOf(5, 9, 6), ...entriesOf(10, 12)], 9, 5)])
  })

  it('stay apart when one starts elsewhere, disagrees on what is before it, or is of another term', () => {
    const first = append(4, entriesOf(5, 9))
    const probe = append(4, entriesOf(5, 10))
    expect(decoded([first, probe])).toEqual([first, probe])
    const gap = append(10, entriesOf(11, 12))
    expect(decoded([first, gap])).toEqual([first, gap])
    const contradiction = append(9, entriesOf(10, 10), 0, 6)
    expect(decoded([first, contradiction])).toEqual([first, contradiction])
    const earlier = { ...append(4, entriesOf(5, 9, 6), 0, 6), term: asTerm(6) }
    const later = append(9, entriesOf(10, 10), 0, 6)
    expect(decodeMessages(encodeAppends(address, [earlier, later], none)).messages).toEqual([earlier, later])
  })

  it('never tell a lower commit index than the one before', () => {
    const appends = [append(4, entriesOf(5, 9), 5), append(9, [], 4)]
    expect(decoded(appends)).toEqual(appends)
  })

  it('are the same bytes for each peer that is sent the same entries, and those of the entries of the moment', () => {
    const entries = entriesOf(5, 9)
    const once = encodeAppends(address, [append(4, entries, 4)], none)
    expect(encodeAppends(address, [append(4, entries, 4)], none)).toEqual(once)
    expect(decoded([append(4, entries, 4)])).toEqual([append(4, entries, 4)])
    expect(decoded([append(4, entriesOf(5, 8), 4)])).toEqual([append(4, entriesOf(5, 8), 4)])
  })
})
