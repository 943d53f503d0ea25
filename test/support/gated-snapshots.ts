import type { SnapshotInfo } from '../../src/raft/index.ts'
import { MemorySnapshotStore } from '../../src/raft/index.ts'

/** Snapshots in memory that are read slowly: while closed, half of one is given, and then nothing. */
export class GatedSnapshots extends MemorySnapshotStore {
  #opened: Promise<void> = Promise.resolve()
  #open: () => void = () => {}

  close (): void {
    this.#opened = new Promise((resolve) => { this.#open = resolve })
  }

  release (): void {
    this.#open()
  }

  override async * read (info: SnapshotInfo, offset = 0): AsyncGenerator<Uint8Array> {
    for await (const chunk of super.read(info, offset)) {
      const half = chunk.byteLength >> 1
      yield chunk.subarray(0, half)
      await this.#opened
      yield chunk.subarray(half)
    }
  }
}
