import { join } from 'node:path'
import type { FileOperations, LogDisk, OpenFile } from '../disk/file-operations.ts'
import { systemErrorCode } from '../disk/file-operations.ts'

const segmentPattern = /^wal-(\d{16})$/
const tornTailPattern = /^wal-\d{16}\.torn-\d+(-\d+)?$/

/** The name of the segment under preparation; it never holds anything that was acknowledged. */
export const spareName = 'wal-spare'

/** The one file of the format before segments, which was never released. */
export const oldLogName = 'raft.log'

/** The name of the segment with this id. */
export function segmentName (id: number): string {
  return `wal-${String(id).padStart(16, '0')}`
}

/** The id of a segment by its name, or null when this is not the name of a segment. */
export function segmentId (name: string): number | null {
  const digits = segmentPattern.exec(name)?.[1]
  return digits === undefined ? null : Number(digits)
}

/** The name under which a torn tail, cut from the segment at `segmentPath`, is saved. */
export function tornTailPath (segmentPath: string, position: number): string {
  return `${segmentPath}.torn-${position}`
}

/** Whether this is the name of a torn tail that was saved. */
export function isTornTail (name: string): boolean {
  return tornTailPattern.test(name)
}

/** The largest write of zeros. One sync of a whole segment would block the groups of the segment in use for as long. */
const fillBytes = 1024 * 1024

/** A file of zeros that is to become a segment. */
export interface SpareSegment {
  readonly file: OpenFile
  readonly bytes: number
}

/**
 * Creates a spare segment: a new file, filled with zeros and synced. So writing into it later changes no metadata, a
 * sync writes the data alone, and nothing that any file held before can appear in it.
 *
 * It is filled in several writes, so that groups of the segment in use reach the disk in between, and by a thread of
 * its own: a busy thread pool would hold up the log as soon as its segment is full. Resolves with null, and leaves no
 * file, when `signal` is aborted meanwhile.
 */
export async function createSpare (
  files: FileOperations,
  disk: LogDisk,
  directory: string,
  bytes: number,
  signal?: AbortSignal
): Promise<SpareSegment | null> {
  const zeros = disk.allocate(Math.min(bytes, fillBytes)).fill(0)
  try {
    return await fillSpare(files, disk, directory, bytes, zeros, signal)
  } finally {
    disk.free(zeros)
  }
}

async function fillSpare (
  files: FileOperations,
  disk: LogDisk,
  directory: string,
  bytes: number,
  zeros: Buffer,
  signal: AbortSignal | undefined
): Promise<SpareSegment | null> {
  const file = await createAnew(files, join(directory, spareName))
  try {
    for (let position = 0; position < bytes && signal?.aborted !== true; position += zeros.length) {
      await disk.write(file, zeros.subarray(0, Math.min(zeros.length, bytes - position)), position)
    }
    if (signal?.aborted !== true) return { file, bytes }
  } catch (error) {
    await dropSpare(files, directory, file)
    throw error
  }
  await dropSpare(files, directory, file)
  return null
}

/** A spare that failed may have left its file. */
async function createAnew (files: FileOperations, path: string): Promise<OpenFile> {
  try {
    return await files.createNew(path)
  } catch (error) {
    if (systemErrorCode(error) !== 'EEXIST') throw error
    await files.remove(path)
    return await files.createNew(path)
  }
}

/** Closes and removes a spare segment. */
export async function dropSpare (files: FileOperations, directory: string, file: OpenFile): Promise<void> {
  await file.close()
  await files.remove(join(directory, spareName))
}

/**
 * Removes segments, oldest first. Each removal is durable before the next: a crash must not leave a gap that looks
 * like a missing segment.
 */
export async function removeSegments (files: FileOperations, directory: string, ids: readonly number[]): Promise<void> {
  for (const id of ids) {
    await files.remove(join(directory, segmentName(id)))
    await files.syncDirectory(directory)
  }
}
