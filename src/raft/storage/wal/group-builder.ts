import { crc32 } from 'node:zlib'
import type { LogDisk } from '../disk/file-operations.ts'
import type { GroupPlace } from './group.ts'
import { changeBytes, encodeChange, endMark, endMarkBytes, groupHeadBytes, maxGroupBytes, sealGroup } from './group.ts'
import type { LogChange } from './log-rules.ts'

const firstBytes = 256 * 1024

/**
 * Builds groups in memory that the disk writes from, one after the other. Each change is encoded and added to the
 * checksum as it comes; only the head is left to write when the group's turn has come.
 */
export class GroupBuilder {
  readonly #disk: LogDisk
  #memory: Buffer
  #view: DataView
  #changes: LogChange[] = []
  #end = groupHeadBytes
  #bodyChecksum = 0

  constructor (disk: LogDisk) {
    this.#disk = disk
    this.#memory = disk.allocate(firstBytes)
    this.#view = viewOf(this.#memory)
  }

  /** The changes in the group. */
  get changes (): readonly LogChange[] { return this.#changes }

  /** All bytes of the group, its head and its end mark included. */
  get bytes (): number { return this.#end + endMarkBytes }

  get isEmpty (): boolean { return this.#end === groupHeadBytes }

  /** Adds a change. Throws a RangeError, and leaves the group as it was, when a number or a size is out of range. */
  add (change: LogChange): void {
    const bytes = this.bytes + changeBytes(change)
    if (bytes > maxGroupBytes) {
      throw new RangeError(`a group of ${bytes} bytes is larger than the log takes (${maxGroupBytes})`)
    }
    if (bytes > this.#memory.length) this.#grow(bytes)
    const end = encodeChange(this.#memory, this.#view, change, this.#end)
    // An empty batch.
    if (end === this.#end) return
    this.#bodyChecksum = crc32(this.#memory.subarray(this.#end, end), this.#bodyChecksum)
    this.#end = end
    this.#changes.push(change)
  }

  /** Completes the group for its place. The bytes are valid until {@link GroupBuilder.clear}. */
  seal (place: GroupPlace): Buffer {
    const { bytes } = this
    this.#memory[this.#end] = endMark
    const group = this.#memory.subarray(0, bytes)
    sealGroup(group, this.#view, place, crc32(group.subarray(this.#end), this.#bodyChecksum))
    return group
  }

  /** Starts with an empty group. */
  clear (): void {
    this.#changes = []
    this.#end = groupHeadBytes
    this.#bodyChecksum = 0
  }

  #grow (bytes: number): void {
    let size = this.#memory.length
    while (size < bytes) size *= 2
    const larger = this.#disk.allocate(size)
    this.#memory.copy(larger, 0, 0, this.#end)
    this.#disk.free(this.#memory)
    this.#memory = larger
    this.#view = viewOf(larger)
  }
}

function viewOf (memory: Buffer): DataView {
  return new DataView(memory.buffer, memory.byteOffset, memory.length)
}
