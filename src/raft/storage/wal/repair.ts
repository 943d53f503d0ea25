import { join } from 'node:path'
import type { FileOperations, OpenFile } from '../disk/file-operations.ts'
import { writeFully } from '../disk/file-operations.ts'
import { groupHeadBytes } from './group.ts'
import type { RecoveredLog } from './recovery.ts'
import { usedBytes } from './sectors.ts'
import { segmentName, tornTailPath } from './segment-file.ts'

async function freeName (files: FileOperations, name: string): Promise<string> {
  let free = name
  for (let attempt = 2; await files.kindOf(free) !== 'missing'; attempt++) free = `${name}-${attempt}`
  return free
}

async function saveTornTail (
  files: FileOperations,
  directory: string,
  path: string,
  position: number,
  torn: Buffer
): Promise<void> {
  const name = await freeName(files, tornTailPath(path, position))
  const saved = await files.createNew(name)
  try {
    await writeFully(saved, torn, 0)
    await saved.sync()
  } catch (error) {
    // A full disk must not fill further with each attempt to start.
    await files.remove(name)
    throw error
  } finally {
    await saved.close()
  }
  await files.syncDirectory(directory)
}

/**
 * Overwrites a torn tail with zeros, its head last: wherever a crash interrupts this, the rest is still a torn tail,
 * either by its head or because it is shorter than any group.
 */
async function wipe (file: OpenFile, position: number, bytes: number): Promise<void> {
  if (bytes > groupHeadBytes) {
    await writeFully(file, Buffer.alloc(bytes - groupHeadBytes), position + groupHeadBytes)
    await file.dataSync()
  }
  await writeFully(file, Buffer.alloc(Math.min(bytes, groupHeadBytes)), position)
}

/**
 * Makes the recovered log durable, before the node acts on it, and resolves with the last segment, open.
 *
 * A torn tail is saved as `<segment>.torn-<position>`, for an operator to look at, and overwritten with zeros, so that
 * the segment is again empty behind its end.
 *
 * Without one, the last group may be complete and yet only in the page cache: its process died between write and sync,
 * or the sync failed. In the second case a sync alone proves nothing, because the kernel has marked the pages clean.
 * So the group is written once more, the same bytes to the same place, and then synced. Groups before it need no
 * rewrite: each was synced before the next was written.
 */
export async function repairLog (files: FileOperations, directory: string, recovered: RecoveredLog): Promise<OpenFile> {
  const { tail, end, lastGroupStart } = recovered
  const path = join(directory, segmentName(recovered.segments.at(-1)?.id ?? 0))
  const file = await files.openExisting(path)
  try {
    const torn = tail.subarray(end, end + usedBytes(tail.subarray(end)))
    if (torn.length > 0) {
      await saveTornTail(files, directory, path, end, torn)
      await wipe(file, end, torn.length)
    } else if (lastGroupStart !== null) {
      await writeFully(file, tail.subarray(lastGroupStart, end), lastGroupStart)
    }
    await file.sync()
    await files.syncDirectory(directory)
    return file
  } catch (error) {
    await file.close()
    throw error
  }
}
