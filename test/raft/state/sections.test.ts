import { crc32 } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import type { SectionToWrite } from '../../../src/raft/state/sections.ts'
import { decodeSections, encodeSections } from '../../../src/raft/state/sections.ts'
import { bytesOf, streamOf } from '../../support/byte-streams.ts'

function text (value: string): Uint8Array {
  return Buffer.from(value)
}
const asyncOf = async function * (...values: readonly string[]) { for (const value of values) yield text(value) }

function sections (): SectionToWrite[] {
  return [
    { name: 'one', version: 1, records: [text('a'), text(''), text('b'.repeat(300))] },
    { name: 'empty', version: 7, records: [] },
    { name: '__proto__', version: 300, records: asyncOf('c', 'd') }
  ]
}

async function read (source: AsyncIterable<Uint8Array>, perSection = Infinity) {
  const found: Array<{ name: string, version: number, records: string[] }> = []
  for await (const { name, version, records } of decodeSections(source)) {
    const section = { name, version, records: [] as string[] }
    found.push(section)
    for await (const record of records) if (section.records.push(Buffer.from(record).toString()) >= perSection) break
  }
  return found
}

const corrupt = expect.objectContaining({ code: 'RAFT_SNAPSHOT_CORRUPT' }) as Error

/** A stream made by hand, with the right checksum at its end. */
function handmade (...parts: readonly (readonly number[] | string)[]): Buffer {
  const body = Buffer.concat([
    Buffer.from('raft-sec'),
    Buffer.from([1]),
    ...parts.map((part) => Buffer.from(part as string)),
    Buffer.from([3])
  ])
  const end = Buffer.alloc(4)
  end.writeUInt32BE(crc32(body))
  return Buffer.concat([body, end])
}

describe('sections of a snapshot', () => {
  it.each([1, 2, 3, 7, 64, 65_536])('are read back as they were written, in chunks of %i bytes', async (chunkBytes) => {
    const bytes = await bytesOf(encodeSections(sections()))
    expect(await read(streamOf(bytes, chunkBytes))).toEqual([
      { name: 'one', version: 1, records: ['a', '', 'b'.repeat(300)] },
      { name: 'empty', version: 7, records: [] },
      { name: '__proto__', version: 300, records: ['c', 'd'] }
    ])
  })

  it('may be left unread in part', async () => {
    const bytes = await bytesOf(encodeSections(sections()))
    expect((await read(streamOf(bytes), 1)).map(({ name, records }) => [name, records.length])).toEqual([
      ['one', 1],
      ['empty', 0],
      ['__proto__', 1]
    ])
  })

  it('carry records that are larger than a chunk', async () => {
    const large = Buffer.alloc(3_000_000, 'x')
    const bytes = await bytesOf(encodeSections([{ name: 's', version: 1, records: [large, text('y')] }]))
    for await (const { records } of decodeSections(streamOf(bytes))) {
      const lengths: number[] = []
      for await (const record of records) lengths.push(record.byteLength)
      expect(lengths).toEqual([3_000_000, 1])
    }
  })

  it('are refused when cut short anywhere, and when anything follows', async () => {
    const bytes = await bytesOf(encodeSections(sections()))
    for (let length = 0; length < bytes.byteLength; length++) {
      await expect(read(streamOf(bytes.subarray(0, length)))).rejects.toThrow(corrupt)
    }
    await expect(read(streamOf(Buffer.concat([bytes, bytes])))).rejects.toThrow(corrupt)
  })

  it('are refused with any bit flipped', async () => {
    const bytes = await bytesOf(encodeSections(sections()))
    for (let bit = 0; bit < bytes.byteLength * 8; bit++) {
      const damaged = Buffer.from(bytes)
      damaged[bit >> 3] = (damaged[bit >> 3] ?? 0) ^ (1 << (bit & 7))
      await expect(read(streamOf(damaged)), `bit ${bit}`).rejects.toThrow(
        expect.objectContaining({ code: expect.stringMatching(/^RAFT_SNAPSHOT_(CORRUPT|VERSION)$/) as string })
      )
    }
  })

  it('refuse a format that this release does not know', async () => {
    const bytes = await bytesOf(encodeSections([]))
    bytes[8] = 2
    await expect(read(streamOf(bytes))).rejects.toMatchObject({
      code: 'RAFT_SNAPSHOT_VERSION',
      message: expect.stringContaining('version 2') as string
    })
  })

  it.each([
    ['nothing at all', Buffer.alloc(0)],
    ['a record outside of a section', handmade([2, 1], 'x')],
    ['a part of an unknown kind', handmade([9])],
    ['a section twice', handmade([1, 1], 's', [1], [1, 1], 's', [1])],
    ['a name that is too long', handmade([1, 0x81, 0x08])],
    ['a record of 2^48 bytes', handmade([1, 1], 's', [1], [2, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x40])],
    ['a number without an end', handmade([1, ...new Array<number>(100).fill(0x80)])],
    ['a number of zeros without an end', handmade([1, 1], 's', new Array<number>(100).fill(0x80))]
  ])('refuse %s', async (_case, bytes) => {
    await expect(read(streamOf(bytes))).rejects.toThrow(corrupt)
  })

  it('give out the last record only after the checksum of the whole stream was checked', async () => {
    const bytes = await bytesOf(encodeSections([{ name: 's', version: 1, records: [text('first'), text('last')] }]))
    const damaged = Buffer.from(bytes)
    damaged[bytes.byteLength - 1] = (damaged[bytes.byteLength - 1] ?? 0) ^ 1
    const seen: string[] = []
    await expect((async () => {
      for await (const { records } of decodeSections(streamOf(damaged))) {
        for await (const record of records) seen.push(Buffer.from(record).toString())
      }
    })()).rejects.toThrow(corrupt)
    expect(seen).toEqual(['first'])
  })

  it('close their source when the reader stops', async () => {
    let isClosed = false
    const source = (async function * () {
      try {
        yield * streamOf(await bytesOf(encodeSections(sections())), 8)
      } finally {
        isClosed = true
      }
    })()
    const sectionsRead = decodeSections(source)
    expect(await sectionsRead.next()).toMatchObject({ value: { name: 'one' } })
    await sectionsRead.return()
    expect(isClosed).toBe(true)
  })

  it('let the event loop turn while they are written and read', async () => {
    const record = Buffer.alloc(100, 'x')
    const records = function * () { for (let count = 0; count < 300_000; count++) yield record }
    let turns = 0
    const counter = setInterval(() => { turns++ }, 0)
    const bytes = await bytesOf(encodeSections([{ name: 's', version: 1, records: records() }]))
    const turnsWriting = turns
    let count = 0
    for await (const section of decodeSections(streamOf(bytes))) for await (const _record of section.records) count++
    clearInterval(counter)
    expect(count).toBe(300_000)
    expect(turnsWriting).toBeGreaterThan(2)
    expect(turns).toBeGreaterThan(turnsWriting + 2)
  })
})
