import { SnapshotCorruptError } from '../../errors.ts'
import type { IncomingSnapshot, SnapshotInfo } from '../snapshot-store.ts'

/** Where the data of an incoming snapshot goes. */
export interface SnapshotSink {
  /** Bytes of data taken so far. */
  readonly bytes: number
  /** CRC-32 of the data taken so far. */
  readonly checksum: number
  readonly write: (piece: Uint8Array) => Promise<void>
}

/** An {@link IncomingSnapshot}, whatever holds it. */
export class Incoming implements IncomingSnapshot {
  readonly info: SnapshotInfo
  readonly #sink: SnapshotSink
  readonly #complete: () => Promise<SnapshotInfo>
  readonly #drop: () => Promise<void>
  #isUnderWay = true

  constructor (
    info: SnapshotInfo,
    sink: SnapshotSink,
    complete: () => Promise<SnapshotInfo>,
    drop: () => Promise<void>
  ) {
    this.info = info
    this.#sink = sink
    this.#complete = complete
    this.#drop = drop
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
    const piece = bytes.subarray(this.offset - offset)
    if (piece.byteLength > 0) await this.#orDiscard(() => this.#sink.write(piece))
    return this.offset
  }

  async finish (): Promise<SnapshotInfo> {
    this.#expectUnderWay()
    if (this.offset !== this.info.bytes) {
      throw this.#corrupt(`it has ${this.offset} of the ${this.info.bytes} bytes announced`)
    }
    const info = await this.#orDiscard(() => {
      if (this.#sink.checksum !== this.info.checksum) throw this.#corrupt('its checksum is not the one announced')
      return this.#complete()
    })
    this.#isUnderWay = false
    return info
  }

  async discard (): Promise<void> {
    if (!this.#isUnderWay) return
    this.#isUnderWay = false
    await this.#drop()
  }

  async #orDiscard<Result>(step: () => Promise<Result>): Promise<Result> {
    try {
      return await step()
    } catch (error) {
      await this.discard()
      throw error
    }
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
