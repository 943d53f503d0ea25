import { isDeepStrictEqual } from 'node:util'
import { FileStorage } from '../../../src/raft/storage/file-storage.ts'
import type { RecoveredState } from '../../../src/raft/storage/storage.ts'
import { randomFrom, SimulatedDisk } from '../../raft/storage/support/simulated-disk.ts'
import { SimRandom } from '../../sim/random.ts'
import type { FileDamage, ForgedField } from '../file-damage.ts'
import { damaged, fileDamage, forgedNumber } from '../file-damage.ts'
import type { BuiltLog } from '../log-builder.ts'
import { buildLog, logIdentity } from '../log-builder.ts'
import type { Fuzzed, Outcome, Target } from '../target.ts'
import { accepted, BrokenRule, refusalBy } from '../target.ts'
import { noise } from '../values.ts'

/** A data directory: a log by its seed, and what was done to it. */
export interface LogInput {
  readonly log: number
  readonly forged: readonly ForgedField[]
  readonly damage: readonly FileDamage[]
  /** Files that are there besides. */
  readonly others: ReadonlyArray<{ readonly name: string, readonly content: Uint8Array }>
}

const otherNames = [
  'lost+found', 'spare', 'restoring', 'snapshots', 'segment-0000000000000000', 'wal', 'raft.wal', '.nfs01', 'notes.txt',
  'segment-0000000000000009', 'segment-99999999999999999999', '__proto__', 'claim', 'claim.sock'
]

function builtLog (log: number, forged: readonly ForgedField[] = []): BuiltLog {
  return buildLog(new SimRandom(log, 'log'), forged)
}

class FuzzedLogs implements Fuzzed<LogInput> {
  make (random: SimRandom): LogInput {
    const log = random.between(0, 2 ** 31)
    const kind = random.pick(['none', 'forged', 'forged', 'damage', 'damage', 'damage', 'others', 'noise'] as const)
    const { files, parts } = builtLog(log)
    const forged = kind !== 'forged'
      ? []
      : Array.from({ length: random.pick([1, 1, 2]) }, (): ForgedField => {
        const part = random.between(0, parts.length - 1)
        const { body = new Uint8Array(1), numbers = [] } = parts[part] ?? {}
        if (numbers.length === 0 || random.chance(0.1)) {
          return { part, at: random.between(0, body.length - 1), bytes: noise(random, 20) }
        }
        const [at, width] = random.pick(numbers)
        return { part, at, bytes: forgedNumber(random, body, at, width) }
      })
    const damage = kind !== 'damage' && kind !== 'noise'
      ? []
      : Array.from({ length: random.pick([1, 1, 2]) }, () => {
        const file = random.between(0, files.length - 1)
        const { content, used } = files[file] ?? { content: Buffer.alloc(1), used: 1 }
        return kind === 'noise'
          ? { file, kind: 'overwrite' as const, at: 0, bytes: noise(random, content.length) }
          : fileDamage(random, file, content, used)
      })
    const others = kind !== 'others' ? [] : [{ name: random.pick(otherNames), content: noise(random, 100) }]
    return { log, forged, damage, others }
  }

  async run (input: LogInput): Promise<Outcome> {
    const { files, states } = builtLog(input.log, input.forged)
    const disk = new SimulatedDisk(randomFrom(1))
    for (const { name, content } of input.others) disk.put(name, content)
    for (const [at, { name, content }] of files.entries()) {
      let left: Uint8Array | null = content
      let asName = name
      for (const damage of input.damage.filter(({ file }) => file === at)) {
        if (damage.kind === 'rename') asName = files[(at + 1) % files.length]?.name ?? `${name}0`
        left = left === null ? null : damaged(left, damage)
      }
      if (left !== null) disk.put(asName, left)
    }
    const opened = await openTwice(disk)
    if ('verdict' in opened) return opened
    checkState(opened)
    if (input.forged.length > 0) return accepted('forged log')
    // A log of which every file is gone is a log that nobody has written to yet.
    const isNew = opened.entries.length === 0 && opened.hardState.term === 0 && isGone(files, input)
    // Zeros are what a disk shows where nothing was written, and nothing names the last segment but itself: groups that
    // were there leave no trace then.
    const isTraceless = input.damage.some(({ kind, bytes }) => kind === 'remove' || bytes.includes(0))
    const mayLose = isTraceless ? states.length : 2
    if (isNew || states.slice(-mayLose).some((state) => isDeepStrictEqual(plain(state), plain(opened)))) {
      return accepted(input.damage.length > 0 ? 'damaged log' : 'log')
    }
    throw new BrokenRule('a damaged log opens as what was written, but for its last group, or not at all', JSON.stringify(plain(opened)))
  }

  async close (): Promise<void> {}
}

/** Opens a log, and once more what was repaired: the same must come out. */
async function openTwice (disk: SimulatedDisk): Promise<RecoveredState | Outcome> {
  const options = { directory: disk.directory, identity: logIdentity, segmentBytes: 4_096, minFreeBytes: 0 }
  const first = new FileStorage(options, disk.files)
  let state: RecoveredState
  try {
    state = await first.open()
  } catch (error) {
    return refusalBy(error)
  }
  await first.close()
  const second = new FileStorage(options, disk.files)
  const again = await second.open()
  await second.close()
  if (!isDeepStrictEqual(plain(state), plain(again))) {
    throw new BrokenRule('a log that was opened opens again as the same', JSON.stringify([plain(state), plain(again)]))
  }
  return state
}

/** The rules that hold for every log that a node starts from, whoever wrote it. */
function checkState ({ base, hardState, entries }: RecoveredState): void {
  let before = base
  for (const entry of entries) {
    if (entry.index !== before.index + 1 || entry.term < before.term || entry.term > hardState.term) {
      throw new BrokenRule('a log that opens keeps the rules of a log', JSON.stringify({ before, entry, hardState }))
    }
    before = entry
  }
}

function isGone (files: BuiltLog['files'], { damage }: LogInput): boolean {
  return files.every((_, at) => damage.some(({ file, kind }) => file === at && kind === 'remove'))
}

/** Without the difference between a Buffer and another view of the same bytes. */
function plain (state: RecoveredState): unknown {
  return {
    ...state,
    entries: state.entries.map((entry) => entry.kind === 'command' ? { ...entry, data: Buffer.from(entry.data).toString('hex') } : entry)
  }
}

/** Data directories that are opened by the storage of a node. */
export const logFiles: Target<LogInput> = {
  name: 'log-files',
  share: 12,
  open: async () => new FuzzedLogs()
}
