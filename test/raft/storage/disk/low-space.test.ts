import { describe, expect, it } from 'vitest'
import { nodeFileOperations } from '../../../../src/raft/storage/disk/file-system.ts'
import { FileStorage } from '../../../../src/raft/storage/file-storage.ts'
import { batch, codeOf, entry, hardState, identity, segmentBytes, temporaryDirectory } from '../support/opening.ts'

describe('low space', () => {
  it('is reported before a write fails for it, and when it is over', async () => {
    let freeBytes = 1000
    const reported: (readonly [boolean, number])[] = []
    const storage = new FileStorage({
      directory: await temporaryDirectory(),
      identity,
      segmentBytes,
      minFreeBytes: 500,
      spaceCheckIntervalMs: 5,
      onLowSpace: (...news) => { reported.push(news) }
    }, { ...nodeFileOperations, freeBytes: () => Promise.resolve(freeBytes) })
    await storage.open()
    expect(storage.lowSpace).toBe(false)
    freeBytes = 499
    await expect.poll(() => storage.lowSpace).toBe(true)
    await storage.append(batch(hardState(1), entry(1, 1)))
    freeBytes = 500
    await expect.poll(() => storage.lowSpace).toBe(false)
    await storage.close()
    expect(reported).toEqual([[true, 499], [false, 500]])
  })

  it.each([0, 4095, 4097, 5000, 2 ** 31, Number.NaN])('a segment size of %d is refused', async (bytes) => {
    const directory = await temporaryDirectory()
    expect(() => new FileStorage({ directory, identity, segmentBytes: bytes })).toThrow('segmentBytes')
    expect(
      await codeOf(Promise.resolve().then(() => new FileStorage({ directory, identity, segmentBytes: bytes })))
    ).toBe('RAFT_INVALID_OPTIONS')
  })
})
