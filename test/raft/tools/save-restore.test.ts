import { mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { runSnapshot } from '../../../src/cli/commands/snapshot.ts'
import type { RaftEngine } from '../../../src/raft/index.ts'
import {
  FileSnapshotStore,
  FileStorage,
  inspectLog,
  openRaftEngine,
  restoreSnapshot,
  saveSnapshot
} from '../../../src/raft/index.ts'
import { nodeFileOperations } from '../../../src/raft/storage/disk/file-system.ts'
import { JournalMachine, quietLogger, testTiming } from '../../support/engine-cluster.ts'
import { until } from '../../support/until.ts'

let base = ''
const members = [{ id: 'n1', url: 'http://127.0.0.1:1' }]

beforeEach(async () => { base = await mkdtemp(join(tmpdir(), 'raft-snapshot-files-')) })
afterEach(async () => { await rm(base, { recursive: true, force: true }) })

/** A cluster of one on a data directory, which leads. */
async function start (
  directory: string,
  clusterId = 'orders'
): Promise<{ engine: RaftEngine; machine: JournalMachine; token: number }> {
  const machine = new JournalMachine()
  const engine = await openRaftEngine({
    nodeId: 'n1',
    clusterId,
    members,
    storage: new FileStorage({
      directory,
      identity: { clusterId, nodeId: 'n1' },
      segmentBytes: 8192,
      minFreeBytes: 0
    }),
    snapshots: new FileSnapshotStore({ directory, clusterId }),
    snapshotPolicy: { entries: 20, trailingEntries: 5 },
    stateMachine: machine,
    timing: testTiming,
    logger: quietLogger
  })
  engine.start()
  const { token } = await until('it leads', () => engine.currentLeadership())
  return { engine, machine, token }
}

/** Runs a node; resolves with its applied commands, its snapshot's index, and the highest index it used. */
async function nodeThatRan (
  directory: string
): Promise<{ journal: readonly string[]; snapshotIndex: number; lastIndex: number }> {
  const { engine, machine } = await start(directory)
  for (let number = 1; number <= 60; number++) await engine.propose(Buffer.from(`w${number}`))
  // The first snapshot covers the first few of them only; a later one is due as soon as the first is durable.
  await until('a snapshot of most commands', () => engine.status().snapshotIndex >= 40)
  const { snapshotIndex } = engine.status()
  await engine.propose(Buffer.from('after'))
  const { lastIndex } = engine.status()
  await engine.stop()
  return { journal: [...machine.journal], snapshotIndex, lastIndex }
}

const restoreOptions = { nodeId: 'n1', clusterId: 'orders-2', members, skipEntries: 1000 }

describe('a snapshot in a file', () => {
  it('is saved from a data directory, and inspected', async () => {
    const { snapshotIndex } = await nodeThatRan(join(base, 'old'))
    const saved = await saveSnapshot(join(base, 'old'), join(base, 'file'))
    expect(saved).toMatchObject({ clusterId: 'orders', fault: null })
    expect(saved.index).toBeGreaterThanOrEqual(snapshotIndex)
    const lines: string[] = []
    expect(
      await runSnapshot(
        { action: 'inspect', file: join(base, 'file'), json: false },
        (line) => {
          lines.push(line)
        },
        () => {}
      )
    ).toBe(0)
    expect(lines.join()).toMatch(
      new RegExp(`^file: cluster orders, through entry ${saved.index} of term \\d+, log time \\d{4}-.*Z, \\d+ bytes of state$`)
    )
  })

  it('trap D25: restored, starts a new cluster with its state, whose tokens are all above those granted before', async () => {
    const { journal, lastIndex } = await nodeThatRan(join(base, 'old'))
    const { index: savedIndex } = await saveSnapshot(join(base, 'old'), join(base, 'file'))
    const restored = await restoreSnapshot(join(base, 'file'), { ...restoreOptions, directory: join(base, 'new') })
    expect(restored.index).toBe((savedIndex ?? 0) + 1000)
    expect(await inspectLog(join(base, 'new'))).toMatchObject({
      identity: { clusterId: 'orders-2', nodeId: 'n1' },
      fault: null,
      log: { base: { index: restored.index }, vote: null, lastIndex: restored.index }
    })
    const { engine, machine, token } = await start(join(base, 'new'), 'orders-2')
    expect(token).toBeGreaterThan(lastIndex)
    expect(token).toBeGreaterThan(restored.index)
    expect(machine.journal).toEqual(journal.slice(0, machine.journal.length))
    expect(machine.journal.length).toBeGreaterThanOrEqual(20)
    expect(engine.membership()).toMatchObject({ members: [{ id: 'n1' }] })
    await engine.propose(Buffer.from('new'))
    await engine.stop()
    const again = await start(join(base, 'new'), 'orders-2')
    expect(again.machine.journal.at(-1)).toBe('new')
    expect(again.token).toBeGreaterThan(token)
    await again.engine.stop()
  })

  it('is restored as another cluster, under the same name as well: its nodes and those of the old one never mix', async () => {
    await nodeThatRan(join(base, 'old'))
    await saveSnapshot(join(base, 'old'), join(base, 'file'))
    const old = await start(join(base, 'old'), 'orders')
    const oldUuid = await until('the old one knows its cluster', () => old.engine.clusterUuid())
    await old.engine.stop()
    const options = { ...restoreOptions, clusterId: 'orders', directory: join(base, 'new') }
    await restoreSnapshot(join(base, 'file'), options)
    const { engine } = await start(join(base, 'new'), 'orders')
    const uuid = await until('the new one knows its cluster', () => engine.clusterUuid())
    expect(uuid).not.toBe(oldUuid)
    await engine.stop()
  })

  it('never overwrites a file or a directory that is not empty', async () => {
    await nodeThatRan(join(base, 'old'))
    await saveSnapshot(join(base, 'old'), join(base, 'file'))
    await expect(saveSnapshot(join(base, 'old'), join(base, 'file'))).rejects.toMatchObject({ code: 'RAFT_DATA_DIR' })
    await expect(
      restoreSnapshot(join(base, 'file'), { ...restoreOptions, directory: join(base, 'old') })
    ).rejects.toThrow('into a new or empty directory only')
    await expect(
      restoreSnapshot(join(base, 'file'), { ...restoreOptions, directory: join(base, 'file') })
    ).rejects.toThrow('is not a directory')
    expect((await readdir(base)).sort()).toEqual(['file', 'old'])
  })

  it('is restored into a new volume, and not over anything that a node has stored', async () => {
    const { journal } = await nodeThatRan(join(base, 'old'))
    await saveSnapshot(join(base, 'old'), join(base, 'file'))
    const directory = join(base, 'volume')
    for (const name of ['lost+found', 'claim', 'claim-0123456789abcdef']) {
      await mkdir(join(directory, name), { recursive: true })
    }
    const restore = restoreSnapshot(join(base, 'file'), { ...restoreOptions, directory })
    expect(await restore).toMatchObject({ index: expect.any(Number) as number })
    expect((await readdir(directory)).sort()).toEqual(['lost+found', 'snapshots', expect.stringMatching(/^wal-0/)])
    const { engine, machine } = await start(directory, 'orders-2')
    expect(machine.journal).toEqual(journal.slice(0, machine.journal.length))
    await engine.stop()

    for (const name of ['wal-0000000000000001', 'snapshots', 'restoring']) {
      const used = join(base, `with-${name}`)
      await mkdir(join(used, 'lost+found'), { recursive: true })
      await mkdir(join(used, name))
      await expect(restoreSnapshot(join(base, 'file'), { ...restoreOptions, directory: used })).rejects.toMatchObject({
        code: 'RAFT_DATA_DIR',
        message: expect.stringContaining(`this one holds something (${name}). Nothing was changed.`) as string
      })
      expect((await readdir(used)).sort()).toEqual(['lost+found', name])
    }
  })

  it.runIf(process.platform !== 'win32')('is not restored into a directory that another process uses', async () => {
    await nodeThatRan(join(base, 'old'))
    await saveSnapshot(join(base, 'old'), join(base, 'file'))
    const directory = join(base, 'new')
    await mkdir(directory)
    const claim = await nodeFileOperations.claim(directory)
    await expect(restoreSnapshot(join(base, 'file'), { ...restoreOptions, directory })).rejects.toMatchObject({
      code: 'RAFT_DATA_DIR',
      message: expect.stringContaining('another running node has it open') as string
    })
    expect(await readdir(directory)).toEqual(['claim'])
    await claim.release()
    await restoreSnapshot(join(base, 'file'), { ...restoreOptions, directory })
    expect(await inspectLog(directory)).toMatchObject({ fault: null })
  })

  it('whose restore is interrupted at any step leaves a directory that no node starts on, or all of it', async () => {
    await nodeThatRan(join(base, 'old'))
    await saveSnapshot(join(base, 'old'), join(base, 'file'))
    const { index } = await restoreSnapshot(join(base, 'file'), { ...restoreOptions, directory: join(base, 'whole') })
    const log = (await readdir(join(base, 'whole'))).filter((name) => name.startsWith('wal-'))
    expect(log).toHaveLength(1)
    // Backwards from the end, one rename at a time.
    const directory = join(base, 'whole')
    await mkdir(join(directory, 'restoring'))
    expect(await inspectLog(directory)).toMatchObject({ fault: null, log: { base: { index } } })
    for (const name of [...log, 'snapshots']) {
      await rename(join(directory, name), join(directory, 'restoring', name))
      await expect(start(directory, 'orders-2'), name).rejects.toMatchObject({
        code: 'RAFT_DATA_DIR',
        message: expect.stringContaining('the restore of a snapshot was interrupted') as string
      })
    }
  })

  it('that is damaged is refused, and the attempt leaves no files', async () => {
    await nodeThatRan(join(base, 'old'))
    await saveSnapshot(join(base, 'old'), join(base, 'file'))
    const bytes = await readFile(join(base, 'file'))
    for (const at of [5, 30, bytes.length - 60, bytes.length - 3]) {
      const hurt = Buffer.from(bytes)
      hurt.writeUInt8(hurt.readUInt8(at) ^ 4, at)
      await writeFile(join(base, 'hurt'), hurt)
      await expect(
        restoreSnapshot(join(base, 'hurt'), { ...restoreOptions, directory: join(base, 'new') }),
        `byte ${at}`
      ).rejects.toMatchObject({ code: 'RAFT_SNAPSHOT_CORRUPT' })
      const errors: string[] = []
      expect(
        await runSnapshot(
          { action: 'inspect', file: join(base, 'hurt'), json: false },
          () => {},
          (line) => {
            errors.push(line)
          }
        )
      ).toBe(1)
      expect(errors.join()).toContain('RAFT_SNAPSHOT_CORRUPT')
    }
    await mkdir(join(base, 'volume', 'lost+found'), { recursive: true })
    await expect(
      restoreSnapshot(join(base, 'hurt'), { ...restoreOptions, directory: join(base, 'volume') })
    ).rejects.toMatchObject({ code: 'RAFT_SNAPSHOT_CORRUPT' })
    expect(await readdir(join(base, 'volume'))).toEqual(['lost+found'])
    await rm(join(base, 'volume'), { recursive: true })
    expect((await readdir(base)).sort()).toEqual(['file', 'hurt', 'old'])
  })

  it('cannot be saved from a directory without a snapshot', async () => {
    await expect(saveSnapshot(base, join(base, 'file'))).rejects.toMatchObject({ code: 'RAFT_SNAPSHOT_MISSING' })
    await expect(saveSnapshot(join(base, 'missing'), join(base, 'file'))).rejects.toMatchObject({
      code: 'RAFT_SNAPSHOT_MISSING'
    })
    expect(await readdir(base)).toEqual([])
  })
})
