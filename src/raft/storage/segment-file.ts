import { join } from 'node:path'
import { writeFully } from './file-operations.ts'
import { segmentName, spareName } from './segment-names.ts'
import type { FileOperations, OpenFile } from './file-operations.ts'

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
 * Written in pieces, so that groups of the segment in use get at the disk in between. Resolves with null, and leaves
 * nothing, when `isAbandoned` says so meanwhile.
 */
export async function createSpare (files: FileOperations, directory: string, bytes: number, isAbandoned: () => boolean): Promise<SpareSegment | null> {
  const path = join(directory, spareName)
  if (await files.kindOf(path) !== 'missing') await files.remove(path)
  const file = await files.createNew(path)
  try {
    const zeros = Buffer.alloc(Math.min(bytes, pieceBytes))
    for (let position = 0; position < bytes && !isAbandoned(); position += zeros.length) {
      const piece = zeros.subarray(0, Math.min(zeros.length, bytes - position))
      await writeFully(file, piece, position)
      if (position + piece.length < bytes) await file.dataSync()
    }
    await file.sync()
    if (!isAbandoned()) return { file, bytes }
  } catch (error) {
    await dropSpare(files, directory, file)
    throw error
  }
  await dropSpare(files, directory, file)
  return null
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
