import { crc32 } from 'node:zlib'
import { SnapshotCorruptError, SnapshotVersionError } from '../errors.ts'
import { BinaryWriter, endOfNumber, readNumber } from '../runtime/binary.ts'
import { Slices } from '../runtime/scheduling.ts'

/**
 * A state as a stream of bytes: named sections, each with its own version, each a sequence of records.
 *
 * ```
 * start     magic (8 bytes), version of this format (number)
 * section   1, name (its length before it), version (number)
 * record    2, data (its length before it)
 * end       3, CRC-32 of all bytes before it (4 bytes, big-endian)
 * ```
 *
 * Numbers stand in 7-bit groups, low ones first. A section ends where the next one starts. Nothing follows the end.
 */
const sectionsVersion = 1

const magic = Buffer.from('raft-sec', 'latin1')
const sectionTag = 1
const recordTag = 2
const endTag = 3
const maxNameBytes = 512
/** Most bytes of a record; a larger length is damage, or a mistake of the writer. */
const maxRecordBytes = 16_777_216
/** Small records are written in chunks of about this size. */
const chunkBytes = 65_536

/** One section to write. Its records are read one by one, once the sections before it are written. */
export interface SectionToWrite {
  /** 1 to 512 bytes. Unique in its stream. */
  readonly name: string
  /** Version of the records' format. */
  readonly version: number
  /** Each at most 16 MiB. */
  readonly records: Iterable<Uint8Array> | AsyncIterable<Uint8Array>
}

/** Writes sections as one stream, in slices that let the event loop serve other work. */
export async function * encodeSections (
  sections: readonly SectionToWrite[]
): AsyncGenerator<Uint8Array, void, undefined> {
  const slices = new Slices()
  let checksum = 0
  let writer = new BinaryWriter(chunkBytes)
  const take = (): Uint8Array => {
    const chunk = writer.finish()
    checksum = crc32(chunk, checksum)
    writer = new BinaryWriter(chunkBytes)
    return chunk
  }
  const write = (record: Uint8Array): void => {
    if (record.byteLength > maxRecordBytes) {
      throw new RangeError(`a record of ${record.byteLength} bytes does not fit into a snapshot`)
    }
    writer.byte(recordTag)
    writer.bytes(record)
  }
  writer.raw(magic)
  writer.number(sectionsVersion)
  for (const { name, version, records } of sections) {
    writer.byte(sectionTag)
    writer.string(name)
    writer.number(version)
    if (Symbol.asyncIterator in records) {
      for await (const record of records) {
        write(record)
        if (writer.byteLength >= chunkBytes) yield take()
      }
      continue
    }
    for (const record of records) {
      write(record)
      if (writer.byteLength < chunkBytes) continue
      yield take()
      if (slices.isOver) await slices.next()
    }
  }
  writer.byte(endTag)
  yield take()
  const end = Buffer.alloc(4)
  end.writeUInt32BE(checksum)
  yield end
}

/** A section of a stream. Its records can be read once, before the next section is requested. */
export interface SectionToRead {
  readonly name: string
  readonly version: number
  readonly records: AsyncIterable<Uint8Array>
}

/**
 * Reads a stream of {@link encodeSections}, holding one record at a time. Throws `RAFT_SNAPSHOT_CORRUPT` for a damaged
 * stream, and `RAFT_SNAPSHOT_VERSION` for a version of the format that this release does not know. The iteration ends
 * without an error only if the checksum of the whole stream is right.
 */
export async function * decodeSections (
  source: AsyncIterable<Uint8Array>
): AsyncGenerator<SectionToRead, void, undefined> {
  const input = new Input(source)
  try {
    if (!magic.equals(await input.take(magic.byteLength))) throw corrupt('it does not start with the mark of a state')
    const format = await input.number()
    if (format !== sectionsVersion) {
      throw new SnapshotVersionError(
        `The snapshot's state has format version ${format}; this release knows version ${sectionsVersion}. Use the ` +
          'release that wrote it, or a later one.'
      )
    }
    const seen = new Set<string>()
    let tag = await input.tag()
    const records = async function * (): AsyncGenerator<Uint8Array, void, undefined> {
      while (tag === recordTag) {
        for (let record = input.recordAtHand(); record !== null; record = input.recordAtHand()) yield record
        const record = await input.take(await input.length(maxRecordBytes))
        // Reads on before it yields the record: a reader of the last record may rely on the checked end behind it.
        tag = await input.tag()
        yield record
      }
    }
    while (tag !== endTag) {
      if (tag !== sectionTag) throw corrupt('it has a record outside of a section')
      const name = Buffer.from(await input.take(await input.length(maxNameBytes))).toString('utf8')
      const version = await input.number()
      if (seen.has(name)) throw corrupt(`it has the section "${name}" twice`)
      seen.add(name)
      tag = await input.tag()
      yield { name, version, records: records() }
      // Skips the records that the reader did not read.
      const rest = records()
      while ((await rest.next()).done !== true);
    }
  } finally {
    await input.close()
  }
}

/** Throws `RAFT_SNAPSHOT_VERSION` for a section of a later version than `known`. */
export function checkVersion (section: SectionToRead, known: number, oldest = 1): void {
  if (section.version >= oldest && section.version <= known) return
  throw new SnapshotVersionError(
    `The section "${section.name}" of the snapshot's state has version ${section.version}; this release knows ` +
      `version ${known}. Use the release that wrote it, or a later one.`
  )
}

function corrupt (what: string): Error {
  return new SnapshotCorruptError(`The snapshot's state is damaged: ${what}.`)
}

class Input {
  readonly #source: AsyncIterator<Uint8Array, unknown>
  readonly #slices = new Slices()
  #buffer: Buffer = Buffer.alloc(0)
  #offset = 0
  /** Checksum of everything before the buffer. */
  #checksum = 0
  #isDrained = false

  constructor (source: AsyncIterable<Uint8Array>) {
    this.#source = source[Symbol.asyncIterator]()
  }

  /** The next tag. An end tag is accepted only if its checksum is right and nothing follows. */
  async tag (): Promise<number> {
    const tag = await this.#byte()
    if (tag < sectionTag || tag > endTag) throw corrupt('it has an item of an unknown kind')
    if (tag === endTag) {
      const checksum = crc32(this.#buffer.subarray(0, this.#offset), this.#checksum)
      if ((await this.take(4)).readUInt32BE(0) !== checksum) throw corrupt('its checksum does not match')
      if (await this.#fill(1)) throw corrupt('something follows its end')
    }
    return tag
  }

  /**
   * The record whose tag was just read, if it is in memory together with the tag of another record. That tag is read
   * as well.
   */
  recordAtHand (): Buffer | null {
    const at = endOfNumber(this.#buffer, this.#offset)
    if (at === -1) return null
    const length = readNumber(this.#buffer, this.#offset, at)
    if (length > maxRecordBytes || this.#buffer[at + length] !== recordTag) return null
    this.#offset = at + length + 1
    return this.#buffer.subarray(at, at + length)
  }

  async number (): Promise<number> {
    let end = endOfNumber(this.#buffer, this.#offset)
    while (end === -1) {
      if (!(await this.#fill(this.#buffer.byteLength - this.#offset + 1))) throw corrupt('it ends too early')
      end = endOfNumber(this.#buffer, this.#offset)
    }
    const value = readNumber(this.#buffer, this.#offset, end)
    if (value === Number.POSITIVE_INFINITY) throw corrupt('it has a number out of range')
    this.#offset = end
    return value
  }

  async length (limit: number): Promise<number> {
    const length = await this.number()
    if (length > limit) throw corrupt(`it has an item of ${length} bytes, over the limit of ${limit}`)
    return length
  }

  async take (bytes: number): Promise<Buffer> {
    if (!(await this.#fill(bytes))) throw corrupt('it ends too early')
    const taken = this.#buffer.subarray(this.#offset, this.#offset + bytes)
    this.#offset += bytes
    return taken
  }

  async close (): Promise<void> {
    if (!this.#isDrained) await this.#source.return?.()
  }

  async #byte (): Promise<number> {
    return (await this.take(1))[0] ?? 0
  }

  /** Buffers at least this many bytes. Resolves with false when the source ends before. */
  async #fill (bytes: number): Promise<boolean> {
    if (this.#buffer.byteLength - this.#offset >= bytes) return true
    const parts = [this.#buffer.subarray(this.#offset)]
    let available = this.#buffer.byteLength - this.#offset
    while (available < bytes) {
      if (this.#slices.isOver) await this.#slices.next()
      const next = await this.#source.next()
      if (next.done === true) {
        this.#isDrained = true
        break
      }
      const { buffer, byteOffset, byteLength } = next.value
      parts.push(Buffer.from(buffer, byteOffset, byteLength))
      available += byteLength
    }
    this.#checksum = crc32(this.#buffer.subarray(0, this.#offset), this.#checksum)
    this.#buffer = Buffer.concat(parts)
    this.#offset = 0
    return available >= bytes
  }
}
