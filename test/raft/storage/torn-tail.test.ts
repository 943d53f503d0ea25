import { readdir, readFile, truncate, unlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { FileStorage } from '../../../src/raft/storage/file-storage.ts'
import type { StorageBatch } from '../../../src/raft/storage/storage.ts'
import { batch, codeOf, entry, fileStorage as storageWith, hardState, hastyFiles, logPath, picture, readBack, stateAfter, temporaryDirectory, writeGroups } from './support.ts'

const fileStorage = (directory: string): FileStorage => storageWith(directory, hastyFiles)

/** Puts these bytes in the place of the log, and removes what was cut from the one before. */
async function putLog (directory: string, bytes: Uint8Array): Promise<void> {
  for (const name of await readdir(directory)) await unlink(join(directory, name))
  await writeFile(logPath(directory), bytes)
}

/** A log, and where each of its groups ends; the first of the ends is that of the header. */
async function logOf (groups: readonly StorageBatch[]): Promise<{ directory: string, bytes: Buffer, ends: number[] }> {
  const directory = await temporaryDirectory()
  const ends: number[] = []
  await readBack(fileStorage(directory))
  ends.push((await readFile(logPath(directory))).length)
  for (const group of groups) {
    await writeGroups(fileStorage(directory), [group])
    ends.push((await readFile(logPath(directory))).length)
  }
  return { directory, bytes: await readFile(logPath(directory)), ends }
}

const groups: readonly StorageBatch[] = [
  batch(hardState(1, 'n1'), entry(1, 1, '', 'noop'), entry(2, 1, 'a')),
  batch(null, entry(3, 1, 'old')),
  batch(hardState(4, 'n2', 2)),
  batch(hardState(5, 'n1', 2), entry(3, 5, 'new', 'noop'), entry(4, 5, 'b'))
]

describe('a torn tail', () => {
  it('trap A17: cut at every byte, the whole groups before the cut are there and nothing else', async () => {
    const { directory, bytes, ends } = await logOf(groups)
    for (let length = 0; length <= bytes.length; length += 1) {
      await putLog(directory, bytes.subarray(0, length))
      const whole = ends.filter((end) => end <= length).length - 1
      if (whole < 0) {
        // The header is durable before the log has its name: a short one is no torn write.
        expect(await codeOf(fileStorage(directory).open()), `cut at ${length}`).toBe('RAFT_WAL_CORRUPT')
        continue
      }
      expect(await readBack(fileStorage(directory)), `cut at ${length}`).toEqual(stateAfter(groups.slice(0, whole)))
      expect((await readFile(logPath(directory))).length).toBe(ends[whole])
    }
  })

  it('trap A2: wherever it is cut, the term on disk is never below the last entry\'s', async () => {
    const { directory, bytes, ends } = await logOf([
      batch(hardState(1), entry(1, 1)), batch(hardState(5, 'n2'), entry(2, 5, '', 'noop'), entry(3, 5))
    ])
    for (let length = ends[0] ?? 0; length <= bytes.length; length += 1) {
      await putLog(directory, bytes.subarray(0, length))
      const { hardState: found, entries } = await readBack(fileStorage(directory))
      expect(found.term, `cut at ${length}`).toBeGreaterThanOrEqual(entries.at(-1)?.term ?? 0)
    }
  })

  it('trap A17: bytes that were cut never come back, whatever is appended after', async () => {
    const { directory, bytes, ends } = await logOf(groups)
    const lastStart = ends.at(-2) ?? 0
    // As long as the group that was cut, and different only near its end.
    const replacement = batch(hardState(5, 'n1', 2), entry(3, 5, 'new', 'noop'), entry(4, 5, 'c'))
    const beginBytes = 29
    for (let length = lastStart + beginBytes; length < bytes.length; length += 1) {
      await putLog(directory, bytes.subarray(0, length))
      await writeGroups(fileStorage(directory), [replacement])
      expect(await readBack(fileStorage(directory))).toEqual(stateAfter([...groups.slice(0, -1), replacement]))
      // A disk that lost the truncation shows the rest of the old group behind a torn start of the new one.
      const mixed = Buffer.from(bytes)
      const written = await readFile(logPath(directory))
      expect(written.length).toBe(mixed.length)
      written.copy(mixed, lastStart, lastStart, length)
      await putLog(directory, mixed)
      const { entries } = await readBack(fileStorage(directory)).catch(() => stateAfter([]))
      expect(entries.map(({ data }) => Buffer.from(data).toString()), `mixed at ${length}`).not.toContain('b')
    }
  })

  it('is saved aside before it is cut, under a name that is free', async () => {
    const { directory, bytes, ends } = await logOf(groups)
    const lastStart = ends.at(-2) ?? 0
    for (const [length, name] of [[bytes.length - 1, `raft.log.torn-${lastStart}`], [lastStart + 5, `raft.log.torn-${lastStart}-2`]] as const) {
      await writeFile(logPath(directory), bytes.subarray(0, length))
      await readBack(fileStorage(directory))
      expect(await readFile(join(directory, name))).toEqual(bytes.subarray(lastStart, length))
    }
    expect(Object.keys(await picture(directory))).toEqual(['raft.log', `raft.log.torn-${lastStart}`, `raft.log.torn-${lastStart}-2`])
  })

  it('of zeros is cut: the file grew and the data never arrived', async () => {
    const { directory, bytes } = await logOf(groups)
    for (const zeros of [1, 28, 29, 511, 512, 4096, 100_000]) {
      await putLog(directory, Buffer.concat([bytes, Buffer.alloc(zeros)]))
      expect(await readBack(fileStorage(directory))).toEqual(stateAfter(groups))
      expect(await readFile(logPath(directory))).toEqual(bytes)
    }
  })

  it('with any of its sectors missing is cut, in whatever order they reached the disk', async () => {
    // Data that is zero by right in places, among data that is not.
    const data = Buffer.concat([Buffer.alloc(700, 1), Buffer.alloc(1600), Buffer.alloc(900, 2)])
    const { directory, bytes, ends } = await logOf([...groups, batch(null, entry(5, 5, new Uint8Array(data)))])
    const start = ends.at(-2) ?? 0
    const sectors = Array.from({ length: Math.ceil(bytes.length / 512) }, (_, i) => [Math.max(start, i * 512), Math.min(bytes.length, (i + 1) * 512)] as const)
      .filter(([from, to]) => from < to && bytes.subarray(from, to).some((byte) => byte !== 0))
    expect(sectors.length).toBeGreaterThan(3)
    for (let missing = 1; missing < 2 ** sectors.length; missing += 1) {
      const torn = Buffer.from(bytes)
      sectors.forEach(([from, to], i) => { if ((missing & (1 << i)) !== 0) torn.fill(0, from, to) })
      await putLog(directory, torn)
      expect(await readBack(fileStorage(directory)), `missing ${missing.toString(2)}`).toEqual(stateAfter(groups))
    }
  })

  it('is cut when the log was only ever one group', async () => {
    const { directory, bytes, ends } = await logOf(groups.slice(0, 1))
    await truncate(logPath(directory), bytes.length - 3)
    expect(await readBack(fileStorage(directory))).toEqual(stateAfter([]))
    expect((await readFile(logPath(directory))).length).toBe(ends[0])
  })
})

describe('a log that was hurt elsewhere', () => {
  const refusals = ['RAFT_WAL_CORRUPT', 'RAFT_WAL_VERSION', 'RAFT_DATA_DIR_FOREIGN']

  it('trap A17: a flipped bit in any byte refuses to start and changes nothing, in the last group too', async () => {
    const { directory, bytes } = await logOf(groups)
    for (let at = 0; at < bytes.length; at += 1) {
      const hurt = Buffer.from(bytes)
      hurt.writeUInt8(hurt.readUInt8(at) ^ (1 << (at % 8)), at)
      await putLog(directory, hurt)
      const before = await picture(directory)
      expect(refusals, `byte ${at}`).toContain(await codeOf(fileStorage(directory).open()))
      expect(await picture(directory)).toEqual(before)
    }
  })

  it('a flipped bit in a last group full of zeros is not taken for a missing sector', async () => {
    const { directory, bytes, ends } = await logOf([...groups, batch(null, entry(5, 5, new Uint8Array(3000)))])
    for (let at = ends.at(-2) ?? 0; at < bytes.length; at += 37) {
      const hurt = Buffer.from(bytes)
      hurt.writeUInt8(hurt.readUInt8(at) ^ 0x10, at)
      await putLog(directory, hurt)
      expect(await codeOf(fileStorage(directory).open()), `byte ${at}`).toBe('RAFT_WAL_CORRUPT')
    }
  })

  it('a byte, a sector or a whole group of zeros before the last group refuses to start', async () => {
    const many = Array.from({ length: 30 }, (_, i) => batch(hardState(1), entry(i + 1, 1, 'x'.repeat(100))))
    const { directory, bytes, ends } = await logOf(many)
    const lastStart = ends.at(-2) ?? 0
    const ranges: [number, number][] = []
    for (let i = 0; i + 2 < ends.length; i += 1) ranges.push([ends[i] ?? 0, ends[i + 1] ?? 0])
    for (let sector = 0; (sector + 1) * 512 <= lastStart; sector += 1) ranges.push([sector * 512, (sector + 1) * 512])
    for (let at = 0; at < lastStart; at += 7) if (bytes[at] !== 0) ranges.push([at, at + 1])
    for (const [from, to] of ranges) {
      await putLog(directory, Buffer.from(bytes).fill(0, from, to))
      expect(refusals, `zeros from ${from} to ${to}`).toContain(await codeOf(fileStorage(directory).open()))
    }
  })

  it('a first group without its start is told from a torn one by a group far behind, across a border of reading', async () => {
    const small = await logOf([batch(hardState(1), entry(1, 1, '')), batch(null, entry(2, 1, ''))])
    const [header = 0, end = 0] = small.ends
    const filling = 1024 * 1024 - 10 - end
    const { directory, bytes } = await logOf([batch(hardState(1), entry(1, 1, new Uint8Array(filling).fill(1))), batch(null, entry(2, 1, ''))])
    await putLog(directory, bytes.fill(0, header, 512))
    expect(await codeOf(fileStorage(directory).open())).toBe('RAFT_WAL_CORRUPT')
  })

  it('a group that is missing from the middle, and a group that stands twice, refuse to start', async () => {
    const { directory, bytes, ends } = await logOf(groups)
    const [, first = 0, second = 0] = ends
    for (const hurt of [
      Buffer.concat([bytes.subarray(0, first), bytes.subarray(second)]),
      Buffer.concat([bytes, bytes.subarray(first, second)])
    ]) {
      await putLog(directory, hurt)
      expect(await codeOf(fileStorage(directory).open())).toBe('RAFT_WAL_CORRUPT')
    }
  })

  it('a group of another log in the same place refuses to start', async () => {
    const one = await logOf(groups)
    const other = await logOf(groups)
    const lastStart = one.ends.at(-2) ?? 0
    await writeFile(logPath(one.directory), Buffer.concat([one.bytes.subarray(0, lastStart), other.bytes.subarray(lastStart)]))
    expect(await codeOf(fileStorage(one.directory).open())).toBe('RAFT_WAL_CORRUPT')
  })

  it('the message names the file, the byte, the index and the two ways out', async () => {
    const { directory, bytes, ends } = await logOf(groups)
    const at = ends[1] ?? 0
    bytes.writeUInt8(0xff, at + 2)
    await putLog(directory, bytes)
    await expect(fileStorage(directory).open()).rejects.toThrow(
      `The log ${logPath(directory)} is damaged at byte ${at}, behind index 2: no group of writes starts where one should. ` +
      'Nothing was changed. There are two ways out: put back the data directory from a copy made after this node last ran'
    )
    await expect(fileStorage(directory).open()).rejects.toThrow('join as a new member, under a new id. Never start it empty under its old id.')
  })
})
