import { open, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { DiskThread } from '../../../../src/raft/storage/disk/disk-thread.ts'
import type { OpenFile } from '../../../../src/raft/storage/disk/file-operations.ts'
import { codeOf, temporaryDirectory } from '../support/opening.ts'

function fileWith (descriptor: number): OpenFile {
  return ({ descriptor }) as OpenFile
}

describe('the disk thread', () => {
  it('writes bytes of shared memory, of any size and offset, at the given position', async () => {
    const path = join(await temporaryDirectory(), 'file')
    const handle = await open(path, 'w+')
    const disk = new DiskThread('log')
    try {
      for (const [bytes, position] of [[3, 10], [3_000_000, 13], [1, 0]] as const) {
        const memory = disk.allocate(bytes + 5)
        await disk.write(fileWith(handle.fd), memory.fill(bytes & 255, 5).subarray(5), position)
        disk.free(memory)
      }
    } finally {
      await disk.stop()
      await handle.close()
    }
    const content = await readFile(path)
    expect(content).toHaveLength(3_000_013)
    expect([...content.subarray(0, 14)]).toEqual([1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3, 3, 3, 3_000_000 & 255])
  })

  it('refuses bytes outside of the shared memory, and of memory that was freed', async () => {
    const disk = new DiskThread('log')
    const memory = disk.allocate(1)
    disk.free(memory)
    for (const bytes of [memory, Buffer.alloc(1)]) {
      await expect(disk.write(fileWith(9999), bytes, 0)).rejects.toThrow('share')
    }
    await disk.stop()
  })

  it('knows the memory of a write that follows at once', async () => {
    const handle = await open(join(await temporaryDirectory(), 'file'), 'w+')
    const disk = new DiskThread('log')
    try {
      for (let round = 0; round < 500; round++) {
        const memory = disk.allocate(512)
        await disk.write(fileWith(handle.fd), memory, 0)
        disk.free(memory)
      }
    } finally {
      await disk.stop()
      await handle.close()
    }
  })

  it('renames a file', async () => {
    const directory = await temporaryDirectory()
    await writeFile(join(directory, 'spare'), 'x')
    const disk = new DiskThread('log')
    await disk.publish(join(directory, 'spare'), join(directory, 'segment'))
    await disk.stop()
    expect(await readdir(directory)).toEqual(['segment'])
  })

  it('passes on the code of a failure', async () => {
    const disk = new DiskThread('log')
    expect(await codeOf(disk.write(fileWith(9999), disk.allocate(1), 0))).toBe('EBADF')
    expect(await codeOf(disk.publish(join(await temporaryDirectory(), 'none'), 'other'))).toBe('ENOENT')
    await disk.stop()
  })

  it('takes one call at a time, and none after it was stopped', async () => {
    const disk = new DiskThread('log')
    const first = codeOf(disk.write(fileWith(9999), disk.allocate(1), 0))
    await expect(disk.write(fileWith(9999), disk.allocate(1), 0)).rejects.toThrow('busy')
    expect(await first).toBe('EBADF')
    await Promise.all([disk.stop(), disk.stop()])
    await expect(disk.write(fileWith(9999), disk.allocate(1), 0)).rejects.toThrow('has ended')
  })
})
