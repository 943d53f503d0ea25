import { dirname } from 'node:path'
import { writeFully } from './file-operations.ts'
import type { FileOperations, OpenFile } from './file-operations.ts'
import type { ReadWindow } from './read-window.ts'
import type { RecoveredLog } from './recovery.ts'

async function freeName (files: FileOperations, name: string): Promise<string> {
  let free = name
  for (let attempt = 2; await files.kindOf(free) !== 'missing'; attempt += 1) free = `${name}-${attempt}`
  return free
}

async function copyRange (window: ReadWindow, from: number, to: number, target: OpenFile, targetStart: number): Promise<void> {
  for await (const { position, bytes } of window.pieces(from, to)) {
    await writeFully(target, bytes, targetStart + position - from)
  }
}

async function saveAside (files: FileOperations, path: string, window: ReadWindow, from: number): Promise<void> {
  const name = await freeName(files, `${path}.torn-${from}`)
  const aside = await files.createNew(name)
  try {
    await copyRange(window, from, window.size, aside, 0)
    await aside.sync()
  } catch (error) {
    // A full disk must not fill further with each attempt to start.
    await files.remove(name)
    throw error
  } finally {
    await aside.close()
  }
  await files.syncDirectory(dirname(path))
}

/**
 * Makes durable what recovery found, before anybody acts on it.
 *
 * A torn tail is saved aside as `raft.log.torn-<position>`, for whoever wants to look, and cut.
 *
 * Without one, the last group may be complete and yet only in the page cache: its process died between write and sync,
 * or the sync failed. In the second case a sync alone proves nothing, because the kernel has marked the pages clean.
 * So the group is written once more, the same bytes to the same place, and then synced. Groups before it need no such
 * care: each was synced before the next was written.
 */
export async function settleLog (
  files: FileOperations, path: string, file: OpenFile, window: ReadWindow, recovered: RecoveredLog
): Promise<void> {
  if (recovered.end < window.size) {
    await saveAside(files, path, window, recovered.end)
    await file.truncate(recovered.end)
  } else if (recovered.lastGroupStart !== null) {
    await copyRange(window, recovered.lastGroupStart, recovered.end, file, recovered.lastGroupStart)
  }
  await file.sync()
}
