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

/** What a {@link LogDisk} is for. */
export type DiskTask = 'log' | 'spares'

/**
 * Makes the groups of a log durable, or prepares its spare segments. A port: in production a thread of its own
 * ({@link DiskThread}), so that neither the event loop nor the shared pool of libuv stands between a group and its
 * sync.
 *
 * One call at a time, apart from `allocate` and `free`. Not to be used again after a call of it has failed.
 */
export interface LogDisk {
  /** Memory that {@link LogDisk.write} takes bytes from, of at least this size. Its content is undefined. */
  readonly allocate: (bytes: number) => Buffer
  /** Gives allocated memory back. No write may use it any more. */
  readonly free: (memory: Buffer) => void
  /**
   * Writes all of `bytes`, which lie in allocated memory, at `position` of the file and syncs it (fdatasync). They must
   * not change meanwhile.
   */
  readonly write: (file: OpenFile, bytes: Buffer, position: number) => Promise<void>
  /** Renames a file within its directory and syncs the directory. */
  readonly publish: (from: string, to: string) => Promise<void>
  /** Idempotent. */
  readonly stop: () => Promise<void>
}

/** A directory that belongs to this process until it is released, or until the process ends, however it ends. */
export interface DirectoryClaim {
  /** Why other processes of this machine may not see the claim, for people; null when all of them see it. */
  readonly weakness: string | null
  readonly release: () => Promise<void>
}

/** What is at a path, symbolic links followed. */
export type PathKind = 'missing' | 'file' | 'directory' | 'other'

/**
 * Everything that the file storage and the snapshot store need of a file system. A port, so that tests can fail,
 * shorten and record each call.
 */
export interface FileOperations {
  readonly kindOf: (path: string) => Promise<PathKind>
  readonly list: (directory: string) => Promise<readonly string[]>
  /** Rejects unless this process may read and write the path. Changes nothing. */
  readonly checkAccess: (path: string) => Promise<void>
  /** Creates a directory and its missing parents, mode 0700; resolves with the first one created. */
  readonly makeDirectory: (path: string) => Promise<string | undefined>
  /** Makes the names in a directory durable. */
  readonly syncDirectory: (path: string) => Promise<void>
  /** Opens an existing file for reading and writing. */
  readonly openExisting: (path: string) => Promise<OpenFile>
  /** Creates a file that must not exist, mode 0600. */
  readonly createNew: (path: string) => Promise<OpenFile>
  /** Claims a directory for this process; rejects with `RAFT_DATA_DIR` when it is claimed already. */
  readonly claim: (directory: string) => Promise<DirectoryClaim>
  readonly rename: (from: string, to: string) => Promise<void>
  readonly remove: (path: string) => Promise<void>
  /** Bytes of the directory's file system that this process may still use. */
  readonly freeBytes: (directory: string) => Promise<number>
  /** Starts a disk that writes the groups of a log, or one that fills spare segments with zeros at the same time. */
  readonly startDisk: (task: DiskTask) => LogDisk
}

/** Reads until `target` is full. Rejects when the file ends before that. */
export async function readFully (file: OpenFile, target: Uint8Array, position: number): Promise<void> {
  let filled = 0
  while (filled < target.byteLength) {
    const count = await file.read(target.subarray(filled), position + filled)
    if (count <= 0) throw new Error(`the file ended at byte ${position + filled} while it was being read`)
    filled += count
  }
}

/** Writes all of `bytes`, in as many calls as it takes. Rejects when a call writes nothing. */
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

/** Opens an existing file for the time of `use`, and closes it also when that fails. */
export async function withFile<Result> (
  files: Pick<FileOperations, 'openExisting'>,
  path: string,
  use: (file: OpenFile) => Promise<Result>
): Promise<Result> {
  const file = await files.openExisting(path)
  try {
    return await use(file)
  } finally {
    await file.close()
  }
}

/** The code of a system error, for example `ENOENT`; undefined for anything else. */
export function systemErrorCode (error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined
}
