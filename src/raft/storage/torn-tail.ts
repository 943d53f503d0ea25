import { beginCode } from './frame.ts'
import { beginBytes, readBegin } from './group.ts'
import { countZeroSectors, sectorBytes } from './sectors.ts'
import type { GroupReading } from './group-reader.ts'
import type { ReadWindow } from './read-window.ts'

/**
 * Decides whether a group that cannot be read is the write that a crash interrupted, and so may be cut, or damage.
 *
 * The rule is: cut only what cannot have been acknowledged, as far as the bytes can tell. A group is acknowledged
 * after its sync, and the next one is written only after that. So at most the last group of the file was never synced,
 * and nobody relies on it. After a crash, some of its sectors may hold what was written, and the others are missing
 * (the file is shorter) or zeros (the file grew, the data did not arrive): a file system shows nothing else behind the
 * old end of a file. Nothing is ever written behind the end in advance, and a sector is written whole or not at all.
 * Hence a group is torn when
 *
 * 1. the file ends before the group does: within its first frame, or before the end that the intact first frame
 *    names; or
 * 2. the file ends exactly where the group does, and more of its sectors are all zeros than when it was written; or
 * 3. its first frame lies in a sector that is all zeros from where the group starts, so that its length is not known,
 *    and no intact start of a later group stands anywhere behind it.
 *
 * Everything else is damage to something that was synced: a byte that changed without becoming part of a missing
 * sector, also in the last group; or a bad group that another write follows.
 *
 * What this cannot tell: a file that something else cut short, and a device that replaces the last group's sectors by
 * zeros after it had synced them. Both look like a torn write.
 */
export async function isTorn (window: ReadWindow, reading: GroupReading, groupStart: number, seed: number): Promise<boolean> {
  switch (reading.kind) {
    case 'cut-short':
      return true
    case 'bad-frame': {
      if (reading.end < window.size) return false
      let zeroSectors = 0
      for await (const { position, bytes } of window.pieces(groupStart, reading.end)) {
        zeroSectors += countZeroSectors(bytes, position)
      }
      return zeroSectors > reading.zeroSectors
    }
    case 'bad-begin': {
      const beginEnd = groupStart + beginBytes
      const sectorsEnd = Math.min(window.size, Math.ceil(beginEnd / sectorBytes) * sectorBytes)
      const bytes = await window.load(groupStart, sectorsEnd - groupStart)
      if (countZeroSectors(bytes, groupStart) === 0) return false
      return !(await hasGroupFrom(window, groupStart + 1, seed))
    }
    case 'malformed':
    case 'complete':
      return false
  }
}

/** Whether an intact first frame of a group stands anywhere from `from` on. */
async function hasGroupFrom (window: ReadWindow, from: number, seed: number): Promise<boolean> {
  for await (const { position, bytes } of window.pieces(from, window.size, beginBytes - 1)) {
    for (let at = bytes.indexOf(beginCode); at !== -1 && at + beginBytes <= bytes.length; at = bytes.indexOf(beginCode, at + 1)) {
      if (readBegin(bytes.subarray(at, at + beginBytes), position + at, seed) !== null) return true
    }
  }
  return false
}
