import { SnapshotCorruptError } from '../../errors.ts'
import { type IncomingSnapshot, isSameSnapshot, type SnapshotInfo } from '../snapshot-store.ts'

/** A snapshot that is being written, to a file or to memory. */
export interface SnapshotSink {
  /** Bytes of data written so far. */
  readonly bytes: number
  /** CRC-32 of the data written so far. */
  readonly checksum: number
  readonly write: (chunk: Uint8Array) => Promise<void>
  /** Makes the snapshot durable and adds it to the store. */
  readonly complete: () => Promise<SnapshotInfo>
  /** Drops what was written. */
  readonly discard: () => Promise<void>
}

/** Checks an {@link IncomingSnapshot} against its announcement, in every store. */
export class Incoming implements IncomingSnapshot {
  readonly info: SnapshotInfo
  readonly #sink: SnapshotSink
  #isUnderWay = true

  constructor (info: SnapshotInfo, sink: SnapshotSink) {
    this.info = info
    this.#sink = sink
  }

  get offset (): number {
    return this.#sink.bytes
  }

  /** Whether it is neither finished nor discarded. */
  get isUnderWay (): boolean {
    return this.#isUnderWay
  }

  async write (offset: number, bytes: Uint8Array): Promise<number> {
    this.#expectUnderWay()
    if (!Number.isSafeInteger(offset) || offset < 0 || offset > this.offset) {
      throw this.#corrupt(`the bytes from ${this.offset} to ${offset} are missing`)
    }
    if (offset + bytes.byteLength > this.info.bytes) {
      throw this.#corrupt(`it has more than the ${this.info.bytes} bytes announced`)
    }
    const rest = bytes.subarray(this.offset - offset)
    try {
      if (rest.byteLength > 0) await this.#sink.write(rest)
    } catch (error) {
      await this.discard()
      throw error
    }
    return this.offset
  }

  async finish (): Promise<SnapshotInfo> {
    this.#expectUnderWay()
    if (this.offset !== this.info.bytes) {
      throw this.#corrupt(`it has ${this.offset} of the ${this.info.bytes} bytes announced`)
    }
    try {
      if (this.#sink.checksum !== this.info.checksum) throw this.#corrupt('its checksum is not the one announced')
      const info = await this.#sink.complete()
      this.#isUnderWay = false
      return info
    } catch (error) {
      await this.discard()
      throw error
    }
  }

  async discard (): Promise<void> {
    if (!this.#isUnderWay) return
    this.#isUnderWay = false
    await this.#sink.discard()
  }

  #expectUnderWay (): void {
    if (!this.#isUnderWay) throw this.#corrupt('it was discarded or finished before')
  }

  #corrupt (what: string): Error {
    return new SnapshotCorruptError(
      `The snapshot through index ${this.info.index} that is being received is not as announced: ${what}.`
    )
  }
}

/**
 * Goes on with the snapshot under way if it is the announced one. Otherwise discards it and begins with a new sink: a
 * store receives one snapshot at a time.
 */
export async function resumeOrBegin (
  underWay: Incoming | null,
  info: SnapshotInfo,
  begin: () => Promise<SnapshotSink>
): Promise<Incoming> {
  if (underWay?.isUnderWay === true && isSameSnapshot(underWay.info, info)) return underWay
  await underWay?.discard()
  return new Incoming(info, await begin())
}
