import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { isEmptyDirectory } from '../../../src/raft/storage/data-directory.ts'
import { nodeFileOperations } from '../../../src/raft/storage/disk/file-system.ts'
import { FileStorage } from '../../../src/raft/storage/file-storage.ts'
import {
  batch,
  codeOf,
  entry,
  fileStorage,
  hardState,
  identity,
  inlineDisk,
  picture,
  readBack,
  readSegment,
  segmentPath,
  stateAfter,
  systemError,
  temporaryDirectory,
  writeGroups
} from './support/opening.ts'

const groups = [batch(hardState(1, 'n1'), entry(1, 1)), batch(null, entry(2, 1))]

const isRoot = process.getuid?.() === 0

/** Expects that opening is refused with this code and changes nothing. */
async function expectRefusal (
  directory: string,
  storage: FileStorage,
  code: string,
  message: string | RegExp
): Promise<void> {
  const before = await picture(directory)
  expect(await codeOf(storage.open())).toBe(code)
  await expect(storage.open()).rejects.toThrow(message)
  expect(await codeOf(storage.append(batch(hardState(9))))).toBe('RAFT_STOPPED')
  await storage.close()
  expect(await picture(directory)).toEqual(before)
}

describe('a data directory', () => {
  it('is created with its parents, private to this user, as is every file in it', async () => {
    const directory = join(await temporaryDirectory(), 'a', 'b')
    await writeGroups(fileStorage(directory), groups)
    const { bytes, end } = await readSegment(directory)
    await writeFile(segmentPath(directory), bytes.fill(0, end - 1))
    await readBack(fileStorage(directory))
    expect((await stat(join(directory, '..'))).mode & 0o777).toBe(0o700)
    expect((await stat(directory)).mode & 0o777).toBe(0o700)
    const names = Object.entries(await picture(directory))
    expect(names).toHaveLength(2)
    for (const [name, seen] of names) expect(seen, name).toMatch(/^100600 /)
  })

  it('may be a new volume with nothing but lost+found', async () => {
    const directory = await temporaryDirectory()
    await mkdir(join(directory, 'lost+found'))
    await writeGroups(fileStorage(directory), groups)
    expect(await readBack(fileStorage(directory))).toEqual(stateAfter(groups))
  })

  it('may hold what a node left that was killed before it had created its log', async () => {
    const directory = await temporaryDirectory()
    await mkdir(join(directory, 'claim'))
    await writeFile(join(directory, 'claim', '0123456789abcdef'), '')
    await mkdir(join(directory, 'claim-0123456789abcdef'))
    await writeGroups(fileStorage(directory), groups)
    expect(Object.keys(await picture(directory))).toEqual(['wal-0000000000000001'])
    expect(await readBack(fileStorage(directory))).toEqual(stateAfter(groups))
  })

  it('is durable before it is used: file, name and new directories are synced, in this order', async () => {
    const base = await temporaryDirectory()
    const directory = join(base, 'a', 'b')
    const calls: string[] = []
    const storage = fileStorage(directory, {
      ...nodeFileOperations,
      createNew: async (path) => {
        const file = await nodeFileOperations.createNew(path)
        const recorded = (sync: () => Promise<void>) => async (): Promise<void> => {
          calls.push('sync file')
          await sync()
        }
        return { ...file, dataSync: recorded(file.dataSync), sync: recorded(file.sync) }
      },
      startDisk: () => inlineDisk(nodeFileOperations),
      rename: async (from, to) => {
        calls.push('rename')
        await nodeFileOperations.rename(from, to)
      },
      syncDirectory: async (path) => {
        calls.push(`sync ${path.slice(base.length)}/`)
        await nodeFileOperations.syncDirectory(path)
      }
    })
    await readBack(storage)
    expect(calls).toEqual(['sync /a/', 'sync /', 'sync file', 'sync file', 'rename', 'sync /a/b/', 'sync /a/b/'])
  })

  it('is created again after an interrupted creation', async () => {
    const directory = await temporaryDirectory()
    await writeFile(join(directory, 'wal-spare'), 'raft-')
    await writeGroups(fileStorage(directory), groups)
    expect(Object.keys(await picture(directory))).toEqual(['wal-0000000000000001'])
    expect(await readBack(fileStorage(directory))).toEqual(stateAfter(groups))
  })

  it('whose creation fails is refused, and the next start succeeds', async () => {
    const directory = join(await temporaryDirectory(), 'data')
    const failing = fileStorage(directory, {
      ...nodeFileOperations,
      rename: () => Promise.reject(systemError('ENOSPC'))
    })
    expect(await codeOf(failing.open())).toBe('RAFT_DATA_DIR')
    expect(await readBack(fileStorage(directory))).toEqual(stateAfter([]))
  })

  it('that is a file is refused', async () => {
    const directory = await temporaryDirectory()
    await writeFile(join(directory, 'data'), 'x')
    await expectRefusal(directory, fileStorage(join(directory, 'data')), 'RAFT_DATA_DIR', 'it is not a directory')
    await expectRefusal(
      directory,
      fileStorage(join(directory, 'data', 'n1')),
      'RAFT_DATA_DIR',
      'a part of its path is a file'
    )
  })

  it('with other files and no log is refused', async () => {
    const directory = await temporaryDirectory()
    await writeFile(join(directory, 'holiday.jpg'), 'x')
    await expectRefusal(
      directory,
      fileStorage(directory),
      'RAFT_DATA_DIR',
      'has no log but holds other things (holiday.jpg)'
    )
  })

  it('whose restore from a snapshot was interrupted is refused, whatever was in its place already', async () => {
    const directory = await temporaryDirectory()
    await mkdir(join(directory, 'restoring'))
    const message = 'the restore of a snapshot was interrupted (restoring is left); empty the directory and restore'
    await expectRefusal(directory, fileStorage(directory), 'RAFT_DATA_DIR', message)
    await mkdir(join(directory, 'snapshots'))
    await expectRefusal(directory, fileStorage(directory), 'RAFT_DATA_DIR', message)
  })

  it('that lost its log but not a torn tail of it is refused', async () => {
    const directory = await temporaryDirectory()
    await writeFile(join(directory, 'wal-0000000000000003.torn-512'), 'x')
    await expectRefusal(directory, fileStorage(directory), 'RAFT_DATA_DIR', 'its log is missing')
  })

  it('that lost its log but not its snapshots is refused', async () => {
    const directory = await temporaryDirectory()
    await mkdir(join(directory, 'snapshots'))
    await expectRefusal(directory, fileStorage(directory), 'RAFT_DATA_DIR', 'its log is missing')
  })

  it('with the one file of the format before segments is refused', async () => {
    const directory = await temporaryDirectory()
    await writeFile(join(directory, 'raft.log'), 'raft-log')
    await expectRefusal(
      directory,
      fileStorage(directory),
      'RAFT_WAL_VERSION',
      'holds raft.log, a log of the format before segments'
    )
  })

  it('whose log is a directory is refused', async () => {
    const directory = await temporaryDirectory()
    await mkdir(segmentPath(directory))
    await expectRefusal(directory, fileStorage(directory), 'RAFT_DATA_DIR', 'wal-0000000000000001 is not a file')
  })

  it.runIf(process.platform === 'linux')('below a directory that allows none is refused at once', async () => {
    const storage = fileStorage('/proc/nope/x')
    expect(await codeOf(storage.open())).toBe('RAFT_DATA_DIR')
    await expect(storage.open()).rejects.toThrow('a part of its path cannot be created')
    await storage.close()
  })

  it.each(['EACCES', 'EROFS'])('that this process may not write (%s) is refused', async (code) => {
    const directory = await temporaryDirectory()
    await writeGroups(fileStorage(directory), groups)
    const files = { ...nodeFileOperations, checkAccess: () => Promise.reject(systemError(code)) }
    await expectRefusal(directory, fileStorage(directory, files), 'RAFT_DATA_DIR', /may not read and write|read-only/)
  })

  it.skipIf(isRoot)('without write permission for this process is refused', async () => {
    const directory = join(await temporaryDirectory(), 'data')
    await mkdir(directory)
    await chmod(directory, 0o500)
    await expectRefusal(directory, fileStorage(directory), 'RAFT_DATA_DIR', 'may not read and write')
    await chmod(directory, 0o700)
  })
})

describe('a data directory is empty', () => {
  it.each([
    [true, 'holds nothing', []],
    [true, 'is a new volume', ['lost+found']],
    [true, 'holds what claims leave', ['claim', 'claim-0123456789abcdef']],
    [true, 'holds what an interrupted first start leaves', ['lost+found', 'claim', 'wal-spare']],
    [false, 'holds a log', ['lost+found', 'wal-0000000000000001', 'wal-spare']],
    [false, 'has lost its log but not its snapshots', ['snapshots']],
    [false, 'holds a torn tail', ['wal-0000000000000003.torn-512']],
    [false, 'holds a log of the format before segments', ['raft.log']],
    [false, 'holds an interrupted restore', ['restoring']],
    [false, 'holds something else', ['lost+found', 'claims']]
  ])('%s when it %s', async (expected, _what, names) => {
    const directory = await temporaryDirectory()
    for (const name of names) await mkdir(join(directory, name))
    expect(await isEmptyDirectory(directory)).toBe(expected)
  })

  it('true when it is missing, and an error when it cannot be listed', async () => {
    const directory = await temporaryDirectory()
    expect(await isEmptyDirectory(join(directory, 'missing'))).toBe(true)
    await writeFile(join(directory, 'file'), '')
    expect(await codeOf(isEmptyDirectory(join(directory, 'file')))).toBe('ENOTDIR')
  })
})

describe.runIf(process.platform === 'linux')('two storages on one directory', () => {
  it('the second is refused, and changes nothing, until the first is closed', async () => {
    const directory = await temporaryDirectory()
    const first = fileStorage(directory)
    await first.open()
    await first.append(batch(hardState(1, 'n1'), entry(1, 1)))
    // The second would take this for a torn tail if it read the log.
    const { bytes, end } = await readSegment(directory)
    await writeFile(segmentPath(directory), bytes.fill(1, end, end + 10))
    await expectRefusal(directory, fileStorage(directory), 'RAFT_DATA_DIR', 'another running node has it open')
    await first.close()
    expect((await readBack(fileStorage(directory))).entries).toHaveLength(1)
  })

  it('a refused start keeps no claim', async () => {
    const directory = await temporaryDirectory()
    await writeGroups(new FileStorage({ directory, identity: { clusterId: 'billing', nodeId: 'n1' } }), groups)
    await expectRefusal(directory, fileStorage(directory), 'RAFT_DATA_DIR_FOREIGN', 'belongs to')
    await readBack(new FileStorage({ directory, identity: { clusterId: 'billing', nodeId: 'n1' } }))
  })

  it('a killed process keeps no claim', async () => {
    const directory = await temporaryDirectory()
    await writeGroups(fileStorage(directory), groups)
    const { dev, ino } = await stat(directory, { bigint: true })
    const script = `require('net').createServer().listen('\\0fastify-raft:${dev}:${ino}', () => console.log('held'))`
    const holder = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] })
    const exited = once(holder, 'exit')
    await once(holder.stdout, 'data')
    expect(await codeOf(fileStorage(directory).open())).toBe('RAFT_DATA_DIR')
    holder.kill('SIGKILL')
    await exited
    expect(await readBack(fileStorage(directory))).toEqual(stateAfter(groups))
  })
})

describe('the identity of a log', () => {
  it.each([
    ['another node', { clusterId: identity.clusterId, nodeId: 'n2' }],
    ['another cluster', { clusterId: 'billing', nodeId: identity.nodeId }],
    ['ids that are equal only when joined', { clusterId: 'ordersn', nodeId: '1' }]
  ])('refuses a log of %s', async (_name, other) => {
    const directory = await temporaryDirectory()
    await writeGroups(new FileStorage({ directory, identity: other }), groups)
    await expectRefusal(
      directory,
      fileStorage(directory),
      'RAFT_DATA_DIR_FOREIGN',
      `belongs to node "${other.nodeId}" of cluster "${other.clusterId}"`
    )
  })

  it('is checked before the rest of the log, so that a node never repairs the log of another one', async () => {
    const directory = await temporaryDirectory()
    await writeGroups(new FileStorage({ directory, identity: { clusterId: 'billing', nodeId: 'n1' } }), groups)
    const { bytes, end } = await readSegment(directory)
    await writeFile(segmentPath(directory), bytes.fill(0, end - 1))
    await expectRefusal(directory, fileStorage(directory), 'RAFT_DATA_DIR_FOREIGN', 'its own data directory')
  })
})

describe('the version of a log', () => {
  it.each([0, 1, 3, 4_294_967_295])('refuses version %i, and says what to do', async (version) => {
    const directory = await temporaryDirectory()
    await writeGroups(fileStorage(directory), groups)
    const bytes = await readFile(segmentPath(directory))
    const headerBytes = 20 + bytes.readUInt32BE(16)
    bytes.writeUInt32BE(version, 12)
    bytes.writeUInt32BE(crc32(bytes.subarray(12, headerBytes)), 8)
    await writeFile(segmentPath(directory), bytes)
    await expectRefusal(
      directory,
      fileStorage(directory),
      'RAFT_WAL_VERSION',
      `has format version ${version}; this release knows version 2. Start this node with the release that wrote it`
    )
  })
})

describe('a file that is not a log', () => {
  it.each([
    ['empty', Buffer.alloc(0)],
    ['a log of the format before segments', Buffer.concat([Buffer.from('raft-log'), Buffer.alloc(512)])],
    ['text', Buffer.from('a text that is longer than the header of a log is')],
    ['zeros', Buffer.alloc(4096)],
    ['an absurd length', Buffer.concat([Buffer.from('raft-log'), Buffer.alloc(64, 0xff)])]
  ])('%s is refused', async (_name, content) => {
    const directory = await temporaryDirectory()
    await writeFile(segmentPath(directory), content)
    await expectRefusal(directory, fileStorage(directory), 'RAFT_WAL_CORRUPT', 'is damaged at byte 0')
  })
})
