import { readFile, writeFile } from 'node:fs/promises'
import { describe, expect, it } from 'vitest'
import {
  batch,
  codeOf,
  contentOf,
  entry,
  fileStorage,
  hardState,
  picture,
  readBack,
  readSegment,
  rejection,
  segmentPath,
  stateAfter,
  systemError,
  temporaryDirectory,
  watchFiles,
  writeGroups
} from './support/opening.ts'

const one = batch(hardState(1, 'n1'), entry(1, 1))
const two = batch(null, entry(2, 1))

describe('group commit', () => {
  it('puts all appends that arrive during a write into one write and one sync', async () => {
    const directory = await temporaryDirectory()
    const watched = watchFiles()
    const storage = fileStorage(directory, watched.files)
    await storage.open()
    watched.calls.length = 0
    let release = (): void => {}
    const held = new Promise<void>((resolve) => { release = resolve })
    const writing = new Promise<void>((resolve) => {
      watched.onSync = async () => {
        watched.onSync = null
        resolve()
        await held
      }
    })
    const first = storage.append(one)
    await writing
    const later = Array.from({ length: 100 }, (_, i) => batch(null, entry(i + 2, 1)))
    const appended = later.map((each) => storage.append(each))
    release()
    await Promise.all([first, ...appended])
    expect(watched.calls).toEqual(['write', 'sync', 'write', 'sync'])
    await storage.close()
    expect(await readBack(fileStorage(directory))).toEqual(stateAfter([one, ...later]))
  })

  it('resolves no append before its sync has returned', async () => {
    const watched = watchFiles()
    const storage = fileStorage(await temporaryDirectory(), watched.files)
    await storage.open()
    const order: string[] = []
    watched.onSync = async () => {
      await new Promise((resolve) => { setImmediate(resolve) })
      order.push('synced')
    }
    await storage.append(one).then(() => order.push('resolved'))
    expect(order).toEqual(['synced', 'resolved'])
    await storage.close()
  })

  it('writes nothing for an empty batch', async () => {
    const watched = watchFiles()
    const storage = fileStorage(await temporaryDirectory(), watched.files)
    await storage.open()
    watched.calls.length = 0
    await storage.append(batch(null))
    expect(watched.calls).toEqual([])
    await storage.close()
  })

  it('splits large waiting appends into several groups', async () => {
    const directory = await temporaryDirectory()
    const watched = watchFiles()
    const storage = fileStorage(directory, watched.files, 64 * 1024 * 1024)
    await storage.open()
    watched.calls.length = 0
    const large = Array.from({ length: 5 }, (_, i) =>
      batch(hardState(1), entry(i + 1, 1, new Uint8Array(3 * 1024 * 1024).fill(i + 1)))
    )
    await Promise.all(large.map((each) => storage.append(each)))
    expect(watched.calls.filter((call) => call === 'sync')).toHaveLength(3)
    await storage.close()
    const state = await readBack(fileStorage(directory))
    expect(state.entries.map(contentOf).map((data) => [data.length, data[0], data.at(-1)])).toEqual(
      large.map((_, i) => [3 * 1024 * 1024, i + 1, i + 1])
    )
  })
})

describe('a change that is too large for a group', () => {
  const tooLarge = batch(null, entry(2, 1, new Uint8Array(64 * 1024 * 1024)))

  it('poisons the log; earlier changes are still written', async () => {
    const directory = await temporaryDirectory()
    const watched = watchFiles()
    const storage = fileStorage(directory, watched.files)
    await storage.open()
    const before = storage.append(one)
    const refused = await rejection(storage.append(tooLarge))
    expect(refused).toMatchObject({
      code: 'RAFT_STORAGE_FAILED',
      message: expect.stringContaining('larger than the log takes') as unknown
    })
    expect(await rejection(storage.append(two))).toBe(refused)
    await before
    await storage.close()
    expect(await readBack(fileStorage(directory))).toEqual(stateAfter([one]))
  })
})

describe('a disk that fails', () => {
  it('goes on after short writes', async () => {
    const directory = await temporaryDirectory()
    const watched = watchFiles()
    const storage = fileStorage(directory, watched.files)
    await storage.open()
    watched.onWrite = (file, bytes, position) => file.write(bytes.subarray(0, 7), position)
    await storage.append(one)
    await storage.append(two)
    await storage.close()
    expect(await readBack(fileStorage(directory))).toEqual(stateAfter([one, two]))
  })

  it('trap A16: a sync error followed by success leaves the log poisoned', async () => {
    const directory = await temporaryDirectory()
    const watched = watchFiles()
    const storage = fileStorage(directory, watched.files)
    await storage.open()
    await storage.append(one)
    watched.onSync = () => {
      watched.onSync = null
      return Promise.reject(systemError('EIO'))
    }
    const first = await rejection(storage.append(two))
    expect(first).toMatchObject({ code: 'RAFT_STORAGE_FAILED', cause: { code: 'EIO' } })
    watched.calls.length = 0
    const bytes = await readFile(segmentPath(directory))
    expect(await rejection(storage.append(two))).toBe(first)
    await storage.close()
    expect(await rejection(storage.append(two))).toBe(first)
    expect(await rejection(storage.open())).toBe(first)
    expect(watched.calls).toEqual([])
    expect(await readFile(segmentPath(directory))).toEqual(bytes)
  })

  it('trap A16: after a failed sync the next start writes the group again before it relies on it', async () => {
    const directory = await temporaryDirectory()
    const failing = watchFiles()
    const storage = fileStorage(directory, failing.files)
    await storage.open()
    await storage.append(one)
    failing.onSync = () => Promise.reject(systemError('EIO'))
    await rejection(storage.append(two))
    await storage.close()

    const watched = watchFiles()
    const rewritten: Buffer[] = []
    const bytes = await readFile(segmentPath(directory))
    watched.onWrite = async (file, written, position) => {
      rewritten.push(Buffer.from(written))
      expect(Buffer.from(written)).toEqual(bytes.subarray(position, position + written.length))
      return file.write(written, position)
    }
    expect(await readBack(fileStorage(directory, watched.files))).toEqual(stateAfter([one, two]))
    expect(watched.calls).toEqual(['write', 'sync'])
    expect(rewritten).toHaveLength(1)
    expect(rewritten[0]?.includes(Buffer.from('data-2-1'))).toBe(true)
    expect(await readFile(segmentPath(directory))).toEqual(bytes)
  })

  it.each(['ENOSPC', 'EIO'])(
    'a write that fails with %s poisons, and rejects all waiting appends with the same reason',
    async (code) => {
      const directory = await temporaryDirectory()
      const watched = watchFiles()
      const storage = fileStorage(directory, watched.files)
      await storage.open()
      await storage.append(one)
      watched.calls.length = 0
      let writes = 0
      watched.onWrite = async (file, bytes, position) => {
        writes++
        if (writes > 1) throw systemError(code)
        return file.write(bytes.subarray(0, 20), position)
      }
      const first = storage.append(two)
      const reasons = await Promise.all([rejection(first), rejection(storage.append(batch(null, entry(3, 1))))])
      expect(reasons[0]).toMatchObject({ code: 'RAFT_STORAGE_FAILED', cause: { code } })
      expect(reasons[1]).toBe(reasons[0])
      expect(watched.calls).toEqual(['write', 'write'])
      await storage.close()
      expect(await readBack(fileStorage(directory))).toEqual(stateAfter([one]))
    }
  )

  it('rejects appends that wait for the group that fails', async () => {
    const watched = watchFiles()
    const storage = fileStorage(await temporaryDirectory(), watched.files)
    await storage.open()
    const waiting: Promise<Error>[] = []
    watched.onSync = async () => {
      waiting.push(rejection(storage.append(two)))
      throw systemError('EIO')
    }
    const first = await rejection(storage.append(one))
    expect(await Promise.all(waiting)).toEqual([first])
    await storage.close()
  })

  it('a write of zero bytes poisons', async () => {
    const watched = watchFiles()
    const storage = fileStorage(await temporaryDirectory(), watched.files)
    await storage.open()
    watched.onWrite = () => Promise.resolve(0)
    const first = await rejection(storage.append(one))
    expect(first.code).toBe('RAFT_STORAGE_FAILED')
    watched.onWrite = null
    expect(await rejection(storage.append(one))).toBe(first)
    await storage.close()
  })

  it('an entry above the size limit poisons, and none of it is written', async () => {
    const directory = await temporaryDirectory()
    const storage = fileStorage(directory)
    await storage.open()
    await storage.append(one)
    const bytes = await readFile(segmentPath(directory))
    expect(await codeOf(storage.append(batch(null, entry(2, 1, new Uint8Array(64 * 1024 * 1024)))))).toBe(
      'RAFT_STORAGE_FAILED'
    )
    await storage.close()
    expect(await readFile(segmentPath(directory))).toEqual(bytes)
  })

  it('a sync that fails while the log is opened fails the start, for good', async () => {
    const directory = await temporaryDirectory()
    await writeGroups(fileStorage(directory), [one])
    const watched = watchFiles()
    watched.onSync = () => Promise.reject(systemError('EIO'))
    const storage = fileStorage(directory, watched.files)
    const first = await rejection(storage.open())
    expect(first).toMatchObject({ code: 'RAFT_STORAGE_FAILED', cause: { code: 'EIO' } })
    watched.onSync = null
    expect(await rejection(storage.open())).toBe(first)
    expect(await rejection(storage.append(two))).toBe(first)
    await storage.close()
  })

  it('a read that fails while the log is opened is not taken for damage, and nothing is cut', async () => {
    const directory = await temporaryDirectory()
    await writeGroups(fileStorage(directory), [one, two])
    const before = await picture(directory)
    const { files } = watchFiles()
    const storage = fileStorage(directory, {
      ...files,
      openExisting: async (path) => ({
        ...(await files.openExisting(path)),
        read: () => Promise.reject(systemError('EIO'))
      })
    })
    expect(await rejection(storage.open())).toMatchObject({ code: 'RAFT_STORAGE_FAILED', cause: { code: 'EIO' } })
    expect(await picture(directory)).toEqual(before)
  })

  it('a torn tail that cannot be saved is not cut, and leaves no file', async () => {
    const directory = await temporaryDirectory()
    await writeGroups(fileStorage(directory), [one, two])
    const { bytes, end } = await readSegment(directory)
    await writeFile(segmentPath(directory), bytes.fill(0, end - 1))
    const before = await picture(directory)
    const { files } = watchFiles()
    const full = fileStorage(directory, {
      ...files,
      createNew: async (path) => ({
        ...(await files.createNew(path)),
        write: () => Promise.reject(systemError('ENOSPC'))
      })
    })
    expect(await codeOf(full.open())).toBe('RAFT_STORAGE_FAILED')
    expect(await picture(directory)).toEqual(before)
    expect(await readBack(fileStorage(directory))).toEqual(stateAfter([one]))
  })
})
