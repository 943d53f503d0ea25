import { WalCorruptError } from '../errors.ts'
import { readGroup } from './group-reader.ts'
import { readLogHeader } from './log-header.ts'
import { LogRules } from './log-rules.ts'
import { isTorn } from './torn-tail.ts'
import { wayOut } from './way-out.ts'
import type { Entry } from '../core/types.ts'
import type { GroupReading, LogRecord } from './group-reader.ts'
import type { ReadWindow } from './read-window.ts'
import type { RecoveredState, StorageIdentity } from './storage.ts'

/** A log that was read back. Bytes of the file behind `end` are a torn tail. */
export interface RecoveredLog {
  readonly state: RecoveredState
  /** Has taken everything in the log; what is appended must go on from there. */
  readonly rules: LogRules
  /** Checksum of the file's header. */
  readonly seed: number
  /** Where the last complete group starts, or null when there is none. */
  readonly lastGroupStart: number | null
  /** Where the next group goes. */
  readonly end: number
}

function takeRecord (record: LogRecord, rules: LogRules, entries: Entry[]): string | null {
  if (record.kind === 'hard-state') return rules.takeHardState(record.hardState)
  const fault = rules.takeEntry(record.entry)
  if (fault !== null) return fault
  entries.length = record.entry.index - 1
  entries.push(record.entry)
  return null
}

function describe (reading: Exclude<GroupReading, { kind: 'complete' }>): string {
  switch (reading.kind) {
    case 'malformed': return reading.reason
    case 'bad-begin': return 'no group of writes starts where one should'
    case 'bad-frame':
    case 'cut-short': return 'the checksum of a frame does not match'
  }
}

/**
 * Reads a log from its start to its last complete group, in one pass and in chunks. Changes nothing.
 *
 * Rejects with `RAFT_WAL_CORRUPT` for any damage but a torn tail, and as {@link readLogHeader} does.
 */
export async function recoverLog (window: ReadWindow, path: string, identity: StorageIdentity): Promise<RecoveredLog> {
  const header = await readLogHeader(window, path, identity)
  const rules = new LogRules()
  const entries: Entry[] = []
  const corrupt = (position: number, what: string): Error =>
    new WalCorruptError(`The log ${path} is damaged at byte ${position}, behind index ${rules.lastIndex}: ${what}. ${wayOut}`)

  let lastGroupStart: number | null = null
  let position = header.end
  while (position < window.size) {
    const reading = await readGroup(window, position, header.seed)
    if (reading.kind !== 'complete') {
      if (await isTorn(window, reading, position, header.seed)) break
      throw corrupt(reading.position, describe(reading))
    }
    for (const record of reading.records) {
      const fault = takeRecord(record, rules, entries)
      if (fault !== null) throw corrupt(record.position, fault)
    }
    rules.settle()
    lastGroupStart = position
    position = reading.end
  }
  return { state: { hardState: rules.hardState, entries }, rules, seed: header.seed, lastGroupStart, end: position }
}
