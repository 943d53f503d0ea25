import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { appendFile, mkdir, rm, statfs } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import type { RaftEngine } from '../../../src/raft/index.ts'
import { FileSnapshotStore, FileStorage, inspectLog, openRaftEngine } from '../../../src/raft/index.ts'
import type { FileOperations } from '../../../src/raft/storage/disk/file-operations.ts'
import { nodeFileOperations } from '../../../src/raft/storage/disk/file-system.ts'
import { JournalMachine, quietLogger, testTiming } from '../../support/engine-cluster.ts'
import { until } from '../../support/until.ts'
import { inlineDisk, systemError } from '../storage/support/builders.ts'

const mebibyte = 1024 * 1024
const options = { identity: { clusterId: 'disk', nodeId: 'n1' }, segmentBytes: 64 * 1024, spaceCheckIntervalMs: 20 }

interface Node {
  readonly engine: RaftEngine
  readonly machine: JournalMachine
  readonly storage: FileStorage
}

/** A cluster of one on the real storage, which leads. */
async function start (directory: string, storage: FileStorage): Promise<Node> {
  const machine = new JournalMachine()
  const engine = await openRaftEngine({
    nodeId: 'n1',
    clusterId: 'disk',
    members: [{ id: 'n1', url: 'http://127.0.0.1:1' }],
    storage,
    snapshots: new FileSnapshotStore({ directory, clusterId: 'disk' }),
    stateMachine: machine,
    timing: testTiming,
    logger: quietLogger
  })
  engine.start()
  await until('it leads', () => engine.currentLeadership() !== null)
  return { engine, machine, storage }
}

function propose (engine: RaftEngine, text: string): Promise<unknown> {
  return engine.propose(Buffer.from(text), { timeoutMs: 20_000 })
}

/** Proposes until the node has stopped. Gives back what was acknowledged. */
async function proposeUntilItStops (engine: RaftEngine): Promise<string[]> {
  const acknowledged: string[] = []
  for (let number = 0; number < 5000 && engine.status().failure === null; number++) {
    const text = `${number} ${'x'.repeat(1000)}`
    try {
      await propose(engine, text)
      acknowledged.push(text)
    } catch (error) {
      const { code } = error as { code?: string }
      // The preparation of a segment that failed counts as low space until the next look.
      if (code === 'RAFT_BUSY') await new Promise((resolve) => { setTimeout(resolve, 5) })
      else expect(['RAFT_OUTCOME_UNKNOWN', 'RAFT_STORAGE_FAILED', 'RAFT_STOPPED']).toContain(code)
    }
  }
  return acknowledged
}

/** A small file system of its own; null where that is not allowed. */
function mountSmall (): string | null {
  const directory = mkdtempSync(join(tmpdir(), 'raft-full-'))
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${2 * mebibyte}`, 'raft-full', directory], { stdio: 'ignore' })
    return directory
  } catch {
    rmSync(directory, { recursive: true })
    return null
  }
}

const small = mountSmall()

afterAll(() => {
  if (small === null) return
  execFileSync('umount', [small])
  rmSync(small, { recursive: true })
})

/** Takes space until no more than this is free. */
async function fill (directory: string, ballast: string, freeBytes: number): Promise<void> {
  const { bavail, bsize } = await statfs(directory)
  await appendFile(ballast, Buffer.alloc(Math.max(0, bavail * bsize - freeBytes)))
}

// Visible as skipped where no file system may be mounted.
describe.skipIf(small === null)('a full disk', () => {
  const directory = join(small ?? '', 'data')
  const ballast = join(small ?? '', 'ballast')

  it('is refused with RAFT_BUSY before it is full; reads go on, and writes when there is space again', async () => {
    const { engine, storage } = await start(
      directory,
      new FileStorage({ ...options, directory, minFreeBytes: mebibyte / 2 })
    )
    try {
      await propose(engine, 'before')
      await fill(directory, ballast, mebibyte / 4)
      await until('the low space to be noticed', () => storage.lowSpace)
      await expect(propose(engine, 'low')).rejects.toMatchObject({ code: 'RAFT_BUSY', statusCode: 503 })
      await engine.readBarrier()
      expect(engine.currentLeadership()).not.toBeNull()
      await rm(ballast)
      await until('the space to be noticed', () => !storage.lowSpace)
      await propose(engine, 'after')
      expect(engine.status().failure).toBeNull()
    } finally {
      await engine.stop()
      await rm(ballast, { force: true })
      await rm(directory, { recursive: true })
    }
  })

  it('stops the node with a clear reason, and after a start with space again everything acknowledged is there', async () => {
    const storage = (): FileStorage => new FileStorage({ ...options, directory, minFreeBytes: 0 })
    const { engine } = await start(directory, storage())
    await fill(directory, ballast, 0)
    const acknowledged = await proposeUntilItStops(engine)
    expect(acknowledged.length).toBeGreaterThan(0)
    expect(engine.status().failure).toMatchObject({ code: 'RAFT_STORAGE_FAILED', cause: { code: 'ENOSPC' } })
    expect(engine.currentLeadership()).toBeNull()
    await expect(propose(engine, 'late')).rejects.toMatchObject({ code: 'RAFT_STOPPED' })
    await engine.stop()
    await rm(ballast)
    const again = await start(directory, storage())
    expect(again.machine.journal.slice(0, acknowledged.length)).toEqual(acknowledged)
    await propose(again.engine, 'and on')
    await again.engine.stop()
    await rm(directory, { recursive: true })
  })
})

describe.skipIf(small === null)('a file system that is read-only', () => {
  it('makes a node refuse to start with a clear error, and its log can be inspected', async () => {
    const directory = join(small ?? '', 'read-only')
    const { engine } = await start(directory, new FileStorage({ ...options, directory, minFreeBytes: 0 }))
    await engine.stop()
    execFileSync('mount', ['-o', 'remount,ro', small ?? ''])
    try {
      const refused = new FileStorage({ ...options, directory, minFreeBytes: 0 })
      await expect(refused.open()).rejects.toMatchObject({
        code: 'RAFT_DATA_DIR',
        message: `The data directory ${directory} cannot be used: its file system is read-only.`
      })
      const missing = new FileStorage({ ...options, directory: join(directory, 'n2'), minFreeBytes: 0 })
      await expect(missing.open()).rejects.toThrow('its file system is read-only')
      expect(await inspectLog(directory)).toMatchObject({ fault: null, log: { lastIndex: 2 } })
    } finally {
      execFileSync('mount', ['-o', 'remount,rw', small ?? ''])
    }
    await rm(directory, { recursive: true })
  })

  it('does not hide that a node in another container, which may write, has the log open', async () => {
    const directory = join(small ?? '', 'read-only')
    const { engine } = await start(directory, new FileStorage({ ...options, directory, minFreeBytes: 0 }))
    await engine.stop()
    await mkdir(join(directory, 'claim'))
    const other = createServer()
    await new Promise<void>((resolve) => { other.listen(join(directory, 'claim', 'of-another'), resolve) })
    execFileSync('mount', ['-o', 'remount,ro', small ?? ''])
    try {
      await expect(inspectLog(directory)).rejects.toMatchObject({
        code: 'RAFT_DATA_DIR',
        message: `The data directory ${directory} cannot be used: another running node has it open.`
      })
      await new Promise((resolve) => other.close(resolve))
      expect(await inspectLog(directory)).toMatchObject({ fault: null, log: { lastIndex: 2 } })
    } finally {
      other.close()
      execFileSync('mount', ['-o', 'remount,rw', small ?? ''])
    }
    await rm(directory, { recursive: true })
  })
})

describe('a disk that answers with an error', () => {
  /** The real file system, in which one of the log's writes or syncs fails and all later ones succeed. */
  const failingOnce = (call: 'write' | 'dataSync', at: number): FileOperations => {
    let calls = 0
    const disk = inlineDisk(nodeFileOperations)
    return {
      ...nodeFileOperations,
      startDisk: () => ({
        ...disk,
        write: (file, bytes, position) => {
          const once = <Result>(kind: typeof call, real: () => Promise<Result>): Promise<Result> => {
            if (kind === call) calls++
            return kind === call && calls === at ? Promise.reject(systemError('EIO')) : real()
          }
          return disk.write({
            ...file,
            write: (...given) => once('write', () => file.write(...given)),
            dataSync: () => once('dataSync', file.dataSync)
          }, bytes, position)
        }
      })
    }
  }

  it.each(['write', 'dataSync'] as const)(
    'trap A16: once, in a %s, ends leadership and the node for good; the next start has what was acknowledged',
    async (call) => {
      const directory = mkdtempSync(join(tmpdir(), 'raft-eio-'))
      try {
        const { engine } = await start(
          directory,
          new FileStorage({ ...options, directory, minFreeBytes: 0 }, failingOnce(call, 20))
        )
        const acknowledged = await proposeUntilItStops(engine)
        expect(acknowledged.length).toBeGreaterThan(3)
        expect(engine.status().failure).toMatchObject({
          code: 'RAFT_STORAGE_FAILED',
          message: expect.stringContaining('EIO') as unknown,
          cause: { code: 'EIO' }
        })
        expect(engine.currentLeadership()).toBeNull()
        expect(engine.leader()).toBeNull()
        await expect(propose(engine, 'late')).rejects.toMatchObject({ code: 'RAFT_STOPPED' })
        await engine.stop()
        const again = await start(directory, new FileStorage({ ...options, directory, minFreeBytes: 0 }))
        expect(again.machine.journal.slice(0, acknowledged.length)).toEqual(acknowledged)
        await again.engine.stop()
      } finally {
        rmSync(directory, { recursive: true })
      }
    }
  )
})
