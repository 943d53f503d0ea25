/** An open file, read and written at explicit positions. */
export interface OpenFile {
  /** The file descriptor, for a thread that works on the file by itself. */
  readonly descriptor: number
  readonly size: () => Promise<number>
  /** Reads into `target`; resolves with the number of bytes read, 0 at the end of the file. */
  readonly read: (target: Uint8Array, position: number) => Promise<number>
  /** Writes from `bytes`; resolves with the number of bytes written, which may be fewer than given. */
  readonly write: (bytes: Uint8Array, position: number) => Promise<number>
  /** Makes the content durable, and the size it needs to be read back (fdatasync). */
  readonly dataSync: () => Promise<void>
  /** Makes the content and all metadata durable (fsync). */
  readonly sync: () => Promise<void>
  readonly close: () => Promise<void>
}

/** What a disk is for. */
export type DiskTask = 'log' | 'spares'

/**
 * What makes the log durable, and spare segments for it. A port: in production a thread of its own ({@link
 * DiskThread}), so that neither the event loop nor the shared pool of libuv stands between a group and its sync.
 *
 * One call at a time. Not to be used again after a call of it has failed.
 */
export interface LogDisk {
  /**
   * Memory that {@link LogDisk.write} takes bytes from, at least this much, with anything in it. Not a call in the
   * sense above.
   */
  readonly allocate: (bytes: number) => Buffer
  /** Gives memory back that is no longer written from. Not a call in the sense above. */
  readonly free: (memory: Buffer) => void
  /**
   * Writes all of `bytes`, which lie in allocated memory, at `position` of the file and syncs it (fdatasync). They must
   * not change meanwhile.
   */
  readonly write: (file: OpenFile, bytes: Buffer, position: number) => Promise<void>
  /** Gives a file its name and syncs the directory, which both names are in. */
  readonly publish: (from: string, to: string) => Promise<void>
  /** Idempotent. */
  readonly stop: () => Promise<void>
}

/** Writes all of `bytes`, however many calls it takes. Rejects when the file system stops taking any. */
export async function writeFully (file: OpenFile, bytes: Uint8Array, position: number): Promise<void> {
  let written = 0
  while (written < bytes.byteLength) {
    const count = await file.write(bytes.subarray(written), position + written)
    if (count <= 0) {
      throw new Error(`the file system took ${written} of ${bytes.byteLength} bytes and then none`)
    }
    written += count
  }
}
