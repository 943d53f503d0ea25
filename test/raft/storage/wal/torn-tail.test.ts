import { describe, expect, it } from 'vitest'
import type { FileStorage } from '../../../../src/raft/storage/file-storage.ts'
import type { RecoveredState, StorageBatch } from '../../../../src/raft/storage/storage.ts'
import { usedBytes } from '../../../../src/raft/storage/wal/sectors.ts'
import { segmentName } from '../../../../src/raft/storage/wal/segment-file.ts'
import {
  batch,
  codeOf,
  contentOf,
  entry,
  fileStorage,
  hardState,
  readBack,
  stateAfter,
  writeGroups
} from '../support/opening.ts'
import { randomFrom, SimulatedDisk } from '../support/simulated-disk.ts'

const segmentBytes = 4096
const first = segmentName(1)

function open (disk: SimulatedDisk): FileStorage {
  return fileStorage(disk.directory, disk.files, segmentBytes)
}

/** A disk that holds these bytes as the first segment of a log, and nothing else. */
function diskWith (segment: Uint8Array): SimulatedDisk {
  const disk = new SimulatedDisk(randomFrom(1))
  disk.put(first, segment)
  return disk
}

/** A log, and where each of its groups ends; the first of the ends is that of the header. */
async function logOf (
  groups: readonly StorageBatch[]
): Promise<{ bytes: Buffer; ends: number[]; end: number; lastStart: number }> {
  const disk = new SimulatedDisk(randomFrom(1))
  const ends: number[] = []
  await readBack(open(disk))
  ends.push(20 + disk.read(first).readUInt32BE(16))
  for (const group of groups) {
    await writeGroups(open(disk), [group])
    ends.push(usedBytes(disk.read(first)))
  }
  return { bytes: disk.read(first), ends, end: ends.at(-1) ?? 0, lastStart: ends.at(-2) ?? 0 }
}

/** Expects that opening refuses the damage and changes nothing. */
async function expectRefusal (disk: SimulatedDisk, what: string): Promise<void> {
  const before = disk.names.map((name) => [name, disk.read(name)] as const)
  expect(['RAFT_WAL_CORRUPT', 'RAFT_WAL_VERSION', 'RAFT_DATA_DIR_FOREIGN'], what).toContain(
    await codeOf(open(disk).open())
  )
  expect(disk.names, what).toEqual(before.map(([name]) => name))
  // Compared natively: this runs thousands of times.
  expect(before.every(([name, bytes]) => disk.read(name).equals(bytes)), what).toBe(true)
}

const groups: readonly StorageBatch[] = [
  batch(hardState(1, 'n1'), entry(1, 1, '', 'noop'), entry(2, 1, 'a')),
  batch(null, entry(3, 1, 'old')),
  batch(hardState(4, 'n2', 2)),
  batch(hardState(5, 'n1', 2), entry(3, 5, '', 'noop'), entry(4, 5, 'b'))
]

describe('a torn tail', () => {
  it('trap A17: cut at any byte, leaves exactly the complete groups before it', async () => {
    const { bytes, ends, end } = await logOf(groups)
    for (let length = ends[0] ?? 0; length <= end; length++) {
      const disk = diskWith(Buffer.from(bytes).fill(0, length))
      const whole = ends.filter((at) => at <= length).length - 1
      expect(await readBack(open(disk)), `stopped at ${length}`).toEqual(stateAfter(groups.slice(0, whole)))
      expect(usedBytes(disk.read(first).subarray(ends[whole])), `stopped at ${length}`).toBe(0)
    }
  })

  it('trap A2: cut at any byte, leaves a term that is not below the last entry\'s', async () => {
    const { bytes, ends, end } = await logOf([
      batch(hardState(1), entry(1, 1)), batch(hardState(5, 'n2'), entry(2, 5, '', 'noop'), entry(3, 5))
    ])
    for (let length = ends[0] ?? 0; length <= end; length++) {
      const { hardState: found, entries } = await readBack(open(diskWith(Buffer.from(bytes).fill(0, length))))
      expect(found.term, `stopped at ${length}`).toBeGreaterThanOrEqual(entries.at(-1)?.term ?? 0)
    }
  })

  it('trap A17: bytes that were cut never come back after later appends', async () => {
    const { bytes, end, lastStart } = await logOf(groups)
    // As long as the group that was cut, and different only near its end.
    const replacement = batch(hardState(5, 'n1', 2), entry(3, 5, '', 'noop'), entry(4, 5, 'c'))
    for (let length = lastStart + 1; length < end; length++) {
      const disk = diskWith(Buffer.from(bytes).fill(0, length))
      await writeGroups(open(disk), [replacement])
      expect(await readBack(open(disk))).toEqual(stateAfter([...groups.slice(0, -1), replacement]))
      // A disk that lost the zeros of the repair shows the rest of the old group behind a torn start of the new one.
      const mixed = Buffer.from(bytes)
      const written = disk.read(first)
      expect(usedBytes(written)).toBe(end)
      written.copy(mixed, lastStart, lastStart, length)
      const { entries }: RecoveredState = await readBack(open(diskWith(mixed))).catch(() => stateAfter([]))
      const kept = entries.map((one) => contentOf(one).toString())
      // Without a byte of the new group, it is the old one, whole.
      if (!written.subarray(lastStart, length).equals(bytes.subarray(lastStart, length))) {
        expect(kept, `mixed at ${length}`).not.toContain('b')
      }
    }
  })

  it('is saved in a file of its own before it is cut', async () => {
    const { bytes, end, lastStart } = await logOf(groups)
    const disk = diskWith(bytes)
    const names = [`${first}.torn-${lastStart}`, `${first}.torn-${lastStart}-2`]
    for (const [length, name] of [[end - 1, names[0]], [lastStart + 5, names[1]]] as const) {
      disk.put(first, Buffer.from(bytes).fill(0, length))
      await readBack(open(disk))
      expect(disk.read(name ?? '')).toEqual(bytes.subarray(lastStart, length))
    }
    expect(disk.names).toEqual([first, ...names])
  })

  it('is cut with any of its sectors missing, in any order of writing', async () => {
    // Data that is zero by right in places, among data that is not.
    const data = Buffer.concat([Buffer.alloc(700, 1), Buffer.alloc(1600), Buffer.alloc(900, 2)])
    const { bytes, end, lastStart } = await logOf([...groups, batch(null, entry(5, 5, new Uint8Array(data)))])
    const sectors = Array.from(
      { length: Math.ceil(end / 512) },
      (_, i) => [Math.max(lastStart, i * 512), Math.min(end, (i + 1) * 512)] as const
    ).filter(([from, to]) => from < to && bytes.subarray(from, to).some((byte) => byte !== 0))
    expect(sectors.length).toBeGreaterThan(3)
    for (let missing = 1; missing < 2 ** sectors.length; missing++) {
      const torn = Buffer.from(bytes)
      sectors.forEach(([from, to], i) => { if ((missing & (1 << i)) !== 0) torn.fill(0, from, to) })
      expect(await readBack(open(diskWith(torn))), `missing ${missing.toString(2)}`).toEqual(stateAfter(groups))
    }
  })

  it('is cut after a crash during an earlier cut', async () => {
    const { bytes, end, lastStart } = await logOf([...groups, batch(null, entry(5, 5, new Uint8Array(2000).fill(3)))])
    for (let from = lastStart; from < end; from = from - (from % 512) + 512) {
      const disk = diskWith(Buffer.from(bytes).fill(0, end - 1).fill(0, from, from - (from % 512) + 512))
      expect(await readBack(open(disk)), `zeros from ${from}`).toEqual(stateAfter(groups))
    }
  })
})

describe('a log that is damaged elsewhere', () => {
  it('trap A17: any flipped bit refuses to start and changes nothing, also in the last group', async () => {
    const { bytes, end } = await logOf(groups)
    for (let at = 0; at < end; at++) {
      for (let bit = 0; bit < 8; bit++) {
        const hurt = Buffer.from(bytes)
        hurt.writeUInt8(hurt.readUInt8(at) ^ (1 << bit), at)
        await expectRefusal(diskWith(hurt), `bit ${bit} of byte ${at}`)
      }
    }
  })

  it('a flipped bit behind the end is refused or cut, and no entry is lost', async () => {
    const { bytes, end } = await logOf(groups)
    for (let at = end; at < segmentBytes; at++) {
      const hurt = Buffer.from(bytes)
      hurt.writeUInt8(1 << (at % 8), at)
      const found = await readBack(open(diskWith(hurt))).catch((error: Error & { code: string }) => error.code)
      if (found !== 'RAFT_WAL_CORRUPT') expect(found, `byte ${at}`).toEqual(stateAfter(groups))
    }
  })

  it('a segment cut short or grown at any byte refuses to start: it has its whole size from before it has its name', async () => {
    const { bytes } = await logOf(groups)
    for (let length = 0; length < bytes.length; length++) {
      await expectRefusal(diskWith(bytes.subarray(0, length)), `cut at ${length}`)
    }
    await expectRefusal(diskWith(Buffer.concat([bytes, Buffer.alloc(512)])), 'grown')
  })

  it('a flipped bit in a last group full of zeros is not taken for a missing sector', async () => {
    const { bytes, end, lastStart } = await logOf([...groups, batch(null, entry(5, 5, new Uint8Array(3000)))])
    for (let at = lastStart; at < end; at += 37) {
      const hurt = Buffer.from(bytes)
      hurt.writeUInt8(hurt.readUInt8(at) ^ 0x10, at)
      await expectRefusal(diskWith(hurt), `byte ${at}`)
    }
  })

  it('a byte, a sector or a whole group of zeros before the last group refuses to start', async () => {
    const many = Array.from({ length: 30 }, (_, i) => batch(hardState(1), entry(i + 1, 1, 'x'.repeat(30))))
    const { bytes, ends, lastStart } = await logOf(many)
    const ranges: [number, number][] = []
    for (let i = 0; i + 2 < ends.length; i++) ranges.push([ends[i] ?? 0, ends[i + 1] ?? 0])
    for (let sector = 0; (sector + 1) * 512 <= lastStart; sector++) ranges.push([sector * 512, (sector + 1) * 512])
    for (let at = 0; at < lastStart; at += 7) if (bytes[at] !== 0) ranges.push([at, at + 1])
    for (const [from, to] of ranges) {
      await expectRefusal(diskWith(Buffer.from(bytes).fill(0, from, to)), `zeros from ${from} to ${to}`)
    }
  })

  it('a group that is missing from the middle, and a group that stands twice, refuse to start', async () => {
    const { bytes, ends, end } = await logOf(groups)
    const [, one = 0, two = 0] = ends
    const missing = Buffer.concat([bytes.subarray(0, one), bytes.subarray(two), Buffer.alloc(two - one)])
    const twice = Buffer.from(bytes)
    bytes.copy(twice, end, one, two)
    await expectRefusal(diskWith(missing), 'missing')
    await expectRefusal(diskWith(twice), 'twice')
  })

  it('a group of another log in the same place refuses to start', async () => {
    const one = await logOf(groups)
    const other = await logOf(groups)
    await expectRefusal(
      diskWith(Buffer.concat([one.bytes.subarray(0, one.lastStart), other.bytes.subarray(one.lastStart)])),
      'another log'
    )
  })

  it('the message names the file, the byte, the index and the two ways out', async () => {
    const { bytes, ends } = await logOf(groups)
    const at = ends[1] ?? 0
    bytes.writeUInt8(bytes.readUInt8(at + 2) ^ 0xff, at + 2)
    const disk = diskWith(bytes)
    await expect(open(disk).open()).rejects.toThrow(
      `The log ${disk.directory}/${first} is damaged at byte ${at}, behind index 2: no group of writes starts where one should. ` +
        'Nothing was changed. There are two ways out: put back the data directory from a copy made after this node last ran'
    )
    await expect(open(disk).open()).rejects.toThrow(
      'or remove the member, empty the directory and start the node with join: it comes back as a new member, under the same id if you like.'
    )
  })
})
