import { readFile, writeFile } from 'node:fs/promises'
import { describe, expect, it } from 'vitest'
import type { FileOperations } from '../../../src/raft/storage/file-operations.ts'
import type { StorageBatch } from '../../../src/raft/storage/storage.ts'
import { batch, codeOf, entry, fileStorage, hardState, hastyFiles, logPath, stateAfter, systemError, temporaryDirectory } from './support.ts'

/** Numbers from a seed, so that a failure can be run again (mulberry32). */
function randomFrom (seed: number): (below: number) => number {
  let state = seed
  return (below) => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * below)
  }
}

/** A random batch that obeys the rules, on top of what is there. */
function nextBatch (random: (below: number) => number, before: readonly StorageBatch[]): StorageBatch {
  const { hardState: { term }, entries } = stateAfter(before)
  const nextTerm = term + random(2) + (term === 0 ? 1 : 0)
  const first = nextTerm > term ? 1 + random(entries.length + 1) : entries.length + 1
  const added = Array.from({ length: random(4) }, (_, i) =>
    entry(first + i, nextTerm, new Uint8Array(random(3) === 0 ? random(3000) : random(20)).fill(random(2) * 7)))
  return batch(nextTerm > term ? hardState(nextTerm, random(2) === 0 ? null : 'n2') : null, ...added)
}

/** What a disk may hold after a power cut, of which the first bytes were synced and the rest was only written. */
function afterPowerCut (random: (below: number) => number, written: Buffer, syncedBytes: number): Buffer {
  const disk = Buffer.from(written)
  for (let from = syncedBytes; from < disk.length; from = from - (from % 512) + 512) {
    if (random(3) === 0) disk.fill(0, from, Math.min(disk.length, from - (from % 512) + 512))
  }
  return random(2) === 0 ? disk : disk.subarray(0, syncedBytes + random(disk.length - syncedBytes + 1))
}

describe('power cuts, one after another', () => {
  it.each([1, 2, 3, 4, 5, 6])('lose nothing that was acknowledged and keep groups whole (seed %i)', async (seed) => {
    const random = randomFrom(seed)
    const directory = await temporaryDirectory()
    let failing = false
    const files: FileOperations = {
      ...hastyFiles,
      openExisting: async (path) => ({
        ...await hastyFiles.openExisting(path),
        dataSync: () => failing ? Promise.reject(systemError('EIO')) : Promise.resolve()
      })
    }
    let acknowledged: StorageBatch[] = []
    let unsure: StorageBatch[] = []
    for (let round = 0; round < 40; round += 1) {
      failing = false
      const storage = fileStorage(directory, files)
      const found = await storage.open()
      const withUnsure = stateAfter([...acknowledged, ...unsure])
      if (found.entries.length === withUnsure.entries.length && found.hardState.term === withUnsure.hardState.term) {
        acknowledged = [...acknowledged, ...unsure]
      }
      expect(found, `round ${round}`).toEqual(stateAfter(acknowledged))

      for (let count = random(4); count > 0; count -= 1) {
        const one = nextBatch(random, acknowledged)
        await storage.append(one)
        acknowledged.push(one)
      }
      const syncedBytes = (await readFile(logPath(directory))).length
      failing = true
      unsure = []
      for (let count = 1 + random(3); count > 0; count -= 1) unsure.push(nextBatch(random, [...acknowledged, ...unsure]))
      unsure.push(batch(null, entry(stateAfter([...acknowledged, ...unsure]).entries.length + 1, stateAfter([...acknowledged, ...unsure]).hardState.term)))
      const codes = await Promise.all(unsure.map((one) => codeOf(storage.append(one))))
      expect(new Set(codes)).toEqual(new Set(['RAFT_STORAGE_FAILED']))
      await storage.close()
      const written = await readFile(logPath(directory))
      await writeFile(logPath(directory), afterPowerCut(random, written, syncedBytes))
    }
    expect(acknowledged.length).toBeGreaterThan(30)
  })
})
