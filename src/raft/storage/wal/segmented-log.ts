import { randomInt } from 'node:crypto'
import { join } from 'node:path'
import type { FileOperations, LogDisk, OpenFile } from '../disk/file-operations.ts'
import type { SpaceWatch } from '../disk/space-watch.ts'
import type { LogPoint, StorageIdentity } from '../storage.ts'
import { GroupBuilder } from './group-builder.ts'
import type { GroupTarget } from './log-queue.ts'
import type { LogChange, LogPosition } from './log-rules.ts'
import type { RecoveredLog } from './recovery.ts'
import type { SpareSegment } from './segment-file.ts'
import { createSpare, dropSpare, removeSegments, segmentName, spareName } from './segment-file.ts'
import type { SegmentHeader } from './segment-header.ts'
import { encodeSegmentHeader } from './segment-header.ts'

/** What a {@link SegmentedLog} needs besides what was recovered. */
interface SegmentedLogOptions {
  readonly directory: string
  readonly identity: StorageIdentity
  readonly files: FileOperations
  readonly disk: LogDisk
  readonly segmentBytes: number
  /** Hears of failures to prepare the next segment ahead. They are not fatal: it is tried again when it is needed. */
  readonly space: SpaceWatch
}

interface Segment {
  readonly id: number
  /** The last index of the log when the segment was created: earlier segments hold no live entry above it. */
  readonly lastIndexBefore: number
}

/**
 * Writes groups one behind the other, through segments of a fixed size. A group never crosses from one segment to the
 * next; one that is larger than a segment gets a larger segment. Not to be used again after a call of it has failed.
 */
export class SegmentedLog implements GroupTarget {
  readonly #options: SegmentedLogOptions
  readonly #openingId = randomInt(2 ** 32)
  readonly #segments: Segment[]
  readonly #incarnation: string
  /** Takes changes while the other builder is being written. */
  #gathering: GroupBuilder
  #writing: GroupBuilder
  #reset: Extract<LogChange, { kind: 'reset' }> | null = null
  #file: OpenFile
  #size: number
  #seed: number
  #end: number
  /** The durable position, for the header of the next segment. */
  #position: LogPosition
  #preparing: Promise<SpareSegment | null> | null = null
  /** Fills spares; started with the first one, and again after one that failed. */
  #spares: LogDisk | null = null
  /** The closing of full segments. Only {@link SegmentedLog.close} waits for it. */
  #closingFull: Promise<void> = Promise.resolve()
  readonly #closing = new AbortController()

  constructor (options: SegmentedLogOptions, recovered: RecoveredLog, file: OpenFile) {
    const current = recovered.segments.at(-1)
    if (current === undefined) throw new Error('a log has at least one segment')
    this.#options = options
    this.#segments = recovered.segments.map(({ id, last }) => ({ id, lastIndexBefore: last.index }))
    this.#incarnation = current.incarnation
    this.#gathering = new GroupBuilder(options.disk)
    this.#writing = new GroupBuilder(options.disk)
    this.#file = file
    this.#size = current.segmentBytes
    this.#seed = current.seed
    this.#end = recovered.end
    this.#position = recovered.rules.position
    this.#prepareInTime()
  }

  gather (change: LogChange): void {
    if (change.kind === 'reset') this.#reset = change
    else this.#gathering.add(change)
  }

  /** Makes what was gathered durable as one group: one write, one sync. One call at a time. */
  async write (): Promise<void> {
    const reset = this.#reset
    this.#reset = null
    if (reset !== null) return this.#startAnew(reset.base, reset.hardState)
    const group = this.#gathering
    if (group.isEmpty) return
    this.#gathering = this.#writing
    this.#gathering.clear()
    this.#writing = group
    const { bytes } = group
    if (this.#end + bytes > this.#size) await this.#nextSegment(bytes)
    await this.#options.disk.write(
      this.#file,
      group.seal({ position: this.#end, seed: this.#seed, openingId: this.#openingId }),
      this.#end
    )
    this.#end += bytes
    for (const change of group.changes) this.#advance(change)
    this.#prepareInTime()
  }

  /** Removes the segments whose entries were all compacted. One call at a time. */
  async removeCompacted (): Promise<void> {
    const covered = this.#segments.findLastIndex(
      ({ lastIndexBefore }, at) => at > 0 && lastIndexBefore <= this.#position.base.index
    )
    if (covered < 1) return
    await removeSegments(
      this.#options.files,
      this.#options.directory,
      this.#segments.slice(0, covered).map(({ id }) => id)
    )
    this.#segments.splice(0, covered)
  }

  /** Closes the files. Only when no write is under way. */
  async close (): Promise<void> {
    this.#closing.abort()
    const spare = (await this.#preparing?.catch(() => null)) ?? null
    try {
      if (spare !== null) await dropSpare(this.#options.files, this.#options.directory, spare.file)
    } finally {
      await this.#spares?.stop()
      await Promise.all([this.#closingFull, this.#file.close()])
    }
  }

  #advance (change: LogChange): void {
    if (change.kind === 'append') {
      const { hardState, entries } = change.batch
      this.#position = {
        ...this.#position,
        hardState: hardState ?? this.#position.hardState,
        last: entries.at(-1) ?? this.#position.last
      }
    } else {
      this.#position = { ...this.#position, base: change.base }
    }
  }

  /** Starts to prepare the next segment when half of this one is used. */
  #prepareInTime (): void {
    if (this.#preparing !== null || this.#end * 2 < this.#size) return
    const { segmentBytes, space } = this.#options
    this.#preparing = this.#makeSpare(segmentBytes, this.#closing.signal)
    this.#preparing.catch((cause: unknown) => { space.reportFailure(cause) })
  }

  async #makeSpare (bytes: number, signal?: AbortSignal): Promise<SpareSegment | null> {
    const { files, directory } = this.#options
    const disk = (this.#spares ??= files.startDisk('spares'))
    try {
      return await createSpare(files, disk, directory, bytes, signal)
    } catch (error) {
      // A disk that has failed is not used again.
      this.#spares = null
      await disk.stop()
      throw error
    }
  }

  async #spare (bytes: number): Promise<SpareSegment> {
    const { files, directory, segmentBytes } = this.#options
    const prepared = (await this.#preparing?.catch(() => null)) ?? null
    this.#preparing = null
    if (prepared !== null && prepared.bytes >= bytes) return prepared
    if (prepared !== null) await dropSpare(files, directory, prepared.file)
    const made = await this.#makeSpare(Math.max(bytes, segmentBytes))
    if (made === null) throw new Error('a segment was abandoned')
    return made
  }

  /** The last group is durable, so the present segment is complete. */
  async #nextSegment (bytes: number): Promise<void> {
    await this.#startSegment({ ...this.#position, previous: { seed: this.#seed, end: this.#end } }, bytes)
  }

  /** Earlier segments are void once the new one has its name. {@link SegmentedLog.removeCompacted} removes them. */
  async #startAnew (base: LogPoint, hardState: LogPosition['hardState']): Promise<void> {
    await this.#startSegment({ base, last: base, hardState, previous: null }, 0)
  }

  /** A segment gets its name only when its header is durable. */
  async #startSegment (
    start: Omit<SegmentHeader, 'id' | 'segmentBytes' | 'incarnation'>,
    bytes: number
  ): Promise<void> {
    const { directory, identity, disk } = this.#options
    const id = (this.#segments.at(-1)?.id ?? 0) + 1
    const own = { ...start, id, incarnation: this.#incarnation }
    // The size of the header does not depend on the segment's.
    const headerBytes = encodeSegmentHeader({ ...own, segmentBytes: 0 }, identity).bytes.length
    const spare = await this.#spare(headerBytes + bytes)
    const header = encodeSegmentHeader({ ...own, segmentBytes: spare.bytes }, identity)
    const memory = disk.allocate(headerBytes)
    memory.set(header.bytes)
    await disk.write(spare.file, memory.subarray(0, headerBytes), 0)
    disk.free(memory)
    await disk.publish(join(directory, spareName), join(directory, segmentName(id)))
    const before = this.#file
    this.#file = spare.file
    this.#size = spare.bytes
    this.#seed = header.seed
    this.#end = headerBytes
    this.#segments.push({ id, lastIndexBefore: start.last.index })
    this.#position = { hardState: start.hardState, base: start.base, last: start.last }
    this.#closingFull = Promise.all([this.#closingFull, before.close()]).then(() => {})
    // Reported by close(); the data itself is already durable.
    this.#closingFull.catch(() => {})
  }
}
