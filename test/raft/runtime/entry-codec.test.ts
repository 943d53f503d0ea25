import { describe, expect, it } from 'vitest'
import type { Configuration, Entry } from '../../../src/raft/core/index.ts'
import { asIndex, asNodeId, asTerm } from '../../../src/raft/core/index.ts'
import { decodeConfiguration, decodeEntry, encodeContent } from '../../../src/raft/runtime/entry-codec.ts'
import { toMeta, toPoint } from '../../../src/raft/snapshots/meta.ts'
import { DataSlab, readEntry, writeEntryRecord } from '../../../src/raft/storage/wal/records.ts'
import { decodeMessages, encodeMessages } from '../../../src/raft/transport/codec.ts'

const n1 = asNodeId('n1')
const n2 = asNodeId('n2')
const n3 = asNodeId('n3')

const configuration: Configuration = {
  members: [
    { id: n1, address: 'http://n1:7100', incarnation: 'a1b2' },
    { id: n2, address: 'http://knoten-\u00fc:7100', incarnation: '' },
    { id: n3, address: 'http://n3:7100', incarnation: 'c3', demoted: true }
  ],
  voters: [n1, n2],
  outgoing: [n1],
  learners: [n3]
}

/** What has been written since the first release, as JSON in ASCII. */
const configurationText =
  '{"members":[{"id":"n1","address":"http://n1:7100","incarnation":"a1b2"},' +
  '{"id":"n2","address":"http://knoten-\\u00fc:7100","incarnation":""},' +
  '{"id":"n3","address":"http://n3:7100","incarnation":"c3","demoted":true}],' +
  '"voters":["n1","n2"],"outgoing":["n1"],"learners":["n3"]}'
const configurationHex = Buffer.from(configurationText, 'ascii').toString('hex')

const noop: Entry = { index: asIndex(7), term: asTerm(3), kind: 'noop', timeMs: 1_790_000_000_000 }
const command: Entry = {
  index: asIndex(8),
  term: asTerm(3),
  kind: 'command',
  timeMs: 1_790_000_000_001,
  data: Uint8Array.of(0, 1, 254, 255)
}
const change: Entry = {
  index: asIndex(9),
  term: asTerm(3),
  kind: 'configuration',
  timeMs: 1_790_000_000_002,
  configuration
}

/** Type, length of the payload, index, term, time, kind, content. */
const records: ReadonlyArray<readonly [Entry, string]> = [
  [noop, '65 00000019 0000000000000007 0000000000000003 000001a0c4506c00 00'],
  [command, '65 0000001d 0000000000000008 0000000000000003 000001a0c4506c01 01 0001feff'],
  [change, `65 00000127 0000000000000009 0000000000000003 000001a0c4506c02 02 ${configurationHex}`]
]

const message =
  'RlJQAgZvcmRlcnMCbjECbjIEYTFiMgJkNAIEdTEyMwAAAQQDBgIFAwAHA4DYwaKMNAABCAOB2MGijDQEAAH+/wIJA4LYwaKMNI4CeyJtZW1iZXJz' +
  'IjpbeyJpZCI6Im4xIiwiYWRkcmVzcyI6Imh0dHA6Ly9uMTo3MTAwIiwiaW5jYXJuYXRpb24iOiJhMWIyIn0seyJpZCI6Im4yIiwiYWRkcmVzcyI6' +
  'Imh0dHA6Ly9rbm90ZW4tXHUwMGZjOjcxMDAiLCJpbmNhcm5hdGlvbiI6IiJ9LHsiaWQiOiJuMyIsImFkZHJlc3MiOiJodHRwOi8vbjM6NzEwMCIs' +
  'ImluY2FybmF0aW9uIjoiYzMiLCJkZW1vdGVkIjp0cnVlfV0sInZvdGVycyI6WyJuMSIsIm4yIl0sIm91dGdvaW5nIjpbIm4xIl0sImxlYXJuZXJz' +
  'IjpbIm4zIl19'

function bytesOf (hex: string): Buffer {
  return Buffer.from(hex.replaceAll(' ', ''), 'hex')
}

describe('the content of entries', () => {
  it.each(records)('is the same bytes in the log as in the first release: $kind', (entry, hex) => {
    const expected = bytesOf(hex)
    const target = Buffer.alloc(expected.length)
    const view = new DataView(target.buffer, target.byteOffset, target.byteLength)
    expect(writeEntryRecord(target, view, entry, 0)).toBe(expected.length)
    expect(target.toString('hex')).toBe(expected.toString('hex'))
    expect(readEntry(target, 5, target.length, new DataSlab())).toEqual(entry)
  })

  it('is the same bytes between nodes', () => {
    const cluster = { uuid: 'u123', isCommitted: true }
    const address = { clusterId: 'orders', from: n1, to: n2, incarnation: 'a1b2', expectedIncarnation: 'd4', cluster }
    const append = {
      kind: 'append-request',
      cluster,
      from: n1,
      to: n2,
      term: asTerm(3),
      prevIndex: asIndex(6),
      prevTerm: asTerm(2),
      commit: asIndex(5),
      entries: [noop, command, change]
    } as const
    expect(encodeMessages(address, [append]).toString('base64')).toBe(message)
    expect(decodeMessages(Buffer.from(message, 'base64')).messages).toEqual([append])
  })

  it('is the same configuration in the head of a snapshot', () => {
    const point = { index: asIndex(9), term: asTerm(3), timeMs: 5, held: { index: 8, configuration } }
    const meta = toMeta(point)
    expect(Buffer.from(meta.configuration).toString('latin1')).toBe(`{"index":8,"configuration":${configurationText}}`)
    expect(toPoint(meta)).toEqual(point)
  })
})

/** The configuration with some parts replaced, as JSON. */
function altered (parts: object): Uint8Array {
  return Buffer.from(JSON.stringify({ ...configuration, ...parts }))
}

const nonsense: ReadonlyArray<readonly [string, Uint8Array]> = [
  ['no JSON', Buffer.from('{')],
  ['no object', Buffer.from('null')],
  ['no voter', altered({ voters: [], outgoing: [n1, n2] })],
  ['a voter twice', altered({ voters: [n1, n1, n2] })],
  ['a voter that learns', altered({ learners: [n2, n3] })],
  ['a voter that is no member', altered({ voters: [n1, n2, 'n9'] })],
  ['a member that takes no part', altered({ learners: [] })],
  ['a member without an incarnation', altered({ members: [{ id: n1, address: '' }] })],
  ['a demotion that is not true', altered({ members: [{ id: n1, address: '', incarnation: '', demoted: false }] })]
]

describe('a malformed configuration', () => {
  it.each(nonsense)('is not read: %s', (_title, data) => {
    expect(decodeConfiguration(data)).toBeNull()
    expect(decodeEntry('configuration', asIndex(1), asTerm(1), 0, data)).toBeNull()
  })

  it('is refused as damage in the log, and as a malformed message on the wire', () => {
    const [, hex] = records[2] ?? ['', '']
    const record = bytesOf(hex)
    record.write('X', 5 + 25)
    expect(() => readEntry(record, 5, record.length, new DataSlab())).toThrow('an entry holds a configuration that makes no sense')
    const body = Buffer.from(message, 'base64')
    body.write('X', body.length - configurationText.length)
    expect(() => decodeMessages(body)).toThrow(expect.objectContaining({ code: 'RAFT_MALFORMED_MESSAGE' }) as Error)
  })

  it('is refused like a no-op with content', () => {
    expect(encodeContent(noop).byteLength).toBe(0)
    expect(decodeEntry('noop', asIndex(1), asTerm(1), 0, Uint8Array.of(1))).toBeNull()
  })
})
