import { readdir } from 'node:fs/promises'
import { describe, expect, it } from 'vitest'
import type { FileOperations } from '../../../../src/raft/storage/disk/file-operations.ts'
import { nodeFileOperations } from '../../../../src/raft/storage/disk/file-system.ts'
import { createSpare } from '../../../../src/raft/storage/wal/segment-file.ts'
import { until } from '../../../support/until.ts'
import { batch, codeOf, entry, fileStorage, hardState, systemError, temporaryDirectory } from '../support/opening.ts'

describe('a spare segment', () => {
  it('that cannot be removed leaves no thread behind when the log is closed', async () => {
    const directory = await temporaryDirectory()
    const running = new Set<string>()
    let isBroken = false
    let filled = 0
    const files: FileOperations = {
      ...nodeFileOperations,
      remove: (path) => isBroken ? Promise.reject(systemError('EIO')) : nodeFileOperations.remove(path),
      startDisk: (task) => {
        const disk = nodeFileOperations.startDisk(task)
        running.add(task)
        return {
          allocate: (bytes) => disk.allocate(bytes),
          free: (memory) => { disk.free(memory) },
          write: async (file, bytes, position) => {
            await disk.write(file, bytes, position)
            if (task === 'spares') filled++
          },
          publish: (from, to) => disk.publish(from, to),
          stop: async () => {
            await disk.stop()
            running.delete(task)
          }
        }
      }
    }
    const storage = fileStorage(directory, files, 4_096)
    await storage.open()
    await storage.append(batch(hardState(1, 'n1')))
    // The first segment was created as a spare.
    expect(filled).toBe(1)
    for (let index = 1; index <= 5; index++) await storage.append(batch(null, entry(index, 1, 'x'.repeat(500))))
    await until('the spare', () => filled === 2)
    isBroken = true
    expect(await codeOf(storage.close())).toBe('EIO')
    expect([...running]).toEqual([])
  })

  it('that gets no memory leaves no file', async () => {
    const directory = await temporaryDirectory()
    const disk = nodeFileOperations.startDisk('spares')
    try {
      const without = { ...disk, allocate: () => { throw new RangeError('Array buffer allocation failed') } }
      await expect(createSpare(nodeFileOperations, without, directory, 8_192)).rejects.toThrow(RangeError)
      expect(await readdir(directory)).toEqual([])
    } finally {
      await disk.stop()
    }
  })
})
