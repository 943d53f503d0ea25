import { join } from 'node:path'
import type { FileOperations, OpenFile } from '../disk/file-operations.ts'
import type { LogDisk } from '../disk/log-disk.ts'
import { systemErrorCode } from '../disk/system-error.ts'
import { segmentName, spareName } from './segment-names.ts'

/** Synced one by one: the whole at once would hold up the groups of the segment in use for as long as it takes. */
const pieceBytes = 1024 * 1024

/** A file of zeros that waits to become a segment. */
export interface SpareSegment {
  readonly file: OpenFile
  readonly bytes: number
}

/**
 * Creates a spare segment: a new file, filled with zeros and synced. So writing into it later changes no metadata, a
 * sync moves the data alone, and nothing that any file held before can show up in it.
 *
 * Written in pieces, so that groups of the segment in use get at the disk in between, and by a thread of its own: a
 * pool that others keep busy would hold up the log as soon as its segment is full. Resolves with null, and leaves
 * nothing, when `isAbandoned` says so meanwhile.
 */
export async function createSpare (
  files: FileOperations,
  disk: LogDisk,
  directory: string,
  bytes: number,
  isAbandoned: () => boolean
): Promise<SpareSegment | null> {
  const zeros = disk.allocate(Math.min(bytes, pieceBytes)).fill(0)
  try {
    return await fillSpare(files, disk, directory, bytes, zeros, isAbandoned)
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
  isAbandoned: () => boolean
): Promise<SpareSegment | null> {
  const file = await createAnew(files, join(directory, spareName))
  try {
    for (let position = 0; position < bytes && !isAbandoned(); position += zeros.length) {
      await disk.write(file, zeros.subarray(0, Math.min(zeros.length, bytes - position)), position)
    }
    if (!isAbandoned()) return { file, bytes }
  } catch (error) {
    await dropSpare(files, directory, file)
    throw error
  }
  await dropSpare(files, directory, file)
  return null
}

/** A file may be left there from a spare that failed. */
async function createAnew (files: FileOperations, path: string): Promise<OpenFile> {
  try {
    return await files.createNew(path)
  } catch (error) {
    if (systemErrorCode(error) !== 'EEXIST') throw error
    await files.remove(path)
    return await files.createNew(path)
  }
}

/** Removes a spare segment. */
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
