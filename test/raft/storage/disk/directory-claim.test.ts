import { mkdir, readdir } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { claimDirectory, claimForReading } from '../../../../src/raft/storage/disk/directory-claim.ts'
import { nodeFileOperations } from '../../../../src/raft/storage/disk/file-system.ts'
import type * as LocalSocket from '../../../../src/raft/storage/disk/local-socket.ts'
import { FileStorage } from '../../../../src/raft/storage/file-storage.ts'
import { codeOf, identity, readBack, systemError, temporaryDirectory } from '../support/opening.ts'

/** What a socket in the directory fails with; null: it works. */
const fails: { code: string | null } = vi.hoisted(() => ({ code: null }))

vi.mock('../../../../src/raft/storage/disk/local-socket.ts', async (original) => {
  const real = await original<typeof LocalSocket>()
  return {
    ...real,
    listen: async (path: string) => {
      if (fails.code !== null && !path.startsWith('\0')) throw systemError(fails.code)
      return await real.listen(path)
    }
  }
})

function refusal (directory: string): object {
  return {
    code: 'RAFT_DATA_DIR',
    message: `The data directory ${directory} cannot be used: another running node has it open.`
  }
}

describe.runIf(process.platform === 'linux')('the claim of a directory', () => {
  it('keeps everybody else out until it is released', async () => {
    const directory = await temporaryDirectory()
    const claim = await claimDirectory(directory)
    expect(claim.weakness).toBeNull()
    await expect(claimDirectory(directory)).rejects.toMatchObject(refusal(directory))
    await claim.release()
    await (await claimDirectory(directory)).release()
    expect(await readdir(directory)).toEqual([])
  })

  it('is refused while an owner in another network namespace lives, and holds nothing then', async () => {
    const directory = await temporaryDirectory()
    await mkdir(join(directory, 'claim'))
    const other = createServer()
    await new Promise<void>((resolve) => { other.listen(join(directory, 'claim', 'of-another'), resolve) })
    await expect(claimDirectory(directory)).rejects.toMatchObject(refusal(directory))
    await new Promise((resolve) => other.close(resolve))
    await (await claimDirectory(directory)).release()
    expect(await readdir(directory)).toEqual([])
  })

  it('says so where the file system keeps no sockets, and still keeps out those of its network namespace', async () => {
    fails.code = 'EPERM'
    onTestFinished(() => { fails.code = null })
    const directory = await temporaryDirectory()
    const claim = await claimDirectory(directory)
    expect(claim.weakness).toBe(
      'only processes of this network namespace see that it is in use, and other containers do not: ' +
      'its file system keeps no sockets (EPERM)'
    )
    await expect(claimDirectory(directory)).rejects.toMatchObject(refusal(directory))
    await claim.release()
    await (await claimDirectory(directory)).release()
    expect(await readdir(directory)).toEqual([])
  })
})

describe.runIf(process.platform === 'linux')('a full disk', () => {
  it('lets nobody claim the directory to write, and everybody to read unless it has an owner', async () => {
    onTestFinished(() => { fails.code = null })
    const directory = await temporaryDirectory()
    fails.code = 'ENOSPC'
    expect(await codeOf(claimDirectory(directory))).toBe('ENOSPC')
    const reading = await claimForReading(directory)
    expect(reading.weakness).toContain('there is no space for a socket (ENOSPC)')
    await reading.release()
    expect(await readdir(directory)).toEqual([])
    await mkdir(join(directory, 'claim'))
    const other = createServer()
    await new Promise<void>((resolve) => { other.listen(join(directory, 'claim', 'of-another'), resolve) })
    await expect(claimForReading(directory)).rejects.toMatchObject(refusal(directory))
    await new Promise((resolve) => other.close(resolve))
  })
})

describe('a storage', () => {
  it('reports each time that it is opened how its claim is weak, and nothing when it is not', async () => {
    const directory = await temporaryDirectory()
    const reasons: string[] = []
    const storage = (weakness: string | null): FileStorage =>
      new FileStorage(
        { directory, identity, minFreeBytes: 0, onWeakClaim: (reason) => { reasons.push(reason) } },
        { ...nodeFileOperations, claim: async (path) => ({ ...await nodeFileOperations.claim(path), weakness }) }
      )
    await readBack(storage(null))
    expect(reasons).toEqual([])
    await readBack(storage('no sockets'))
    await readBack(storage('no sockets'))
    expect(reasons).toEqual(['no sockets', 'no sockets'])
  })

  it('releases its claim when that report throws', async () => {
    const directory = await temporaryDirectory()
    const failing = new FileStorage(
      { directory, identity, minFreeBytes: 0, onWeakClaim: () => { throw systemError('RAFT_TEST') } },
      { ...nodeFileOperations, claim: async (path) => ({ ...await nodeFileOperations.claim(path), weakness: 'no' }) }
    )
    expect(await codeOf(failing.open())).toBe('RAFT_TEST')
    await readBack(new FileStorage({ directory, identity, minFreeBytes: 0 }))
  })
})
