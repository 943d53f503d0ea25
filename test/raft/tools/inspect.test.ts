import { chmod, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { runWal } from '../../../src/cli/commands/wal.ts'
import { asIndex } from '../../../src/raft/core/index.ts'
import { FileSnapshotStore } from '../../../src/raft/storage/snapshots/file-snapshot-store.ts'
import { inspectLog } from '../../../src/raft/tools/inspect.ts'
import {
  baseOf,
  batch,
  codeOf,
  configurationEntry,
  entry,
  fileStorage,
  hardState,
  identity,
  picture,
  readSegment,
  segmentPath,
  temporaryDirectory,
  writeGroups
} from '../storage/support/opening.ts'

const groups = [
  batch(hardState(1, 'n1'), entry(1, 1, '', 'noop'), configurationEntry(2, 1, 'n1'), entry(3, 1)),
  batch(hardState(2, 'n2', 3), entry(4, 2, '', 'noop'), entry(5, 2)),
  batch(hardState(2, 'n2', 4))
]

async function logOf (): Promise<string> {
  const directory = await temporaryDirectory()
  await writeGroups(fileStorage(directory), groups)
  return directory
}

/** Runs the command and checks that nothing was written; returns what it printed. */
async function run (
  action: 'inspect' | 'verify',
  directory: string,
  json = false
): Promise<{ code: number; out: string[]; errors: string[] }> {
  const before = await picture(directory).catch(() => null)
  const out: string[] = []
  const errors: string[] = []
  const code = await runWal(
    { action, directory, json },
    (line) => {
      out.push(line)
    },
    (line) => {
      errors.push(line)
    }
  )
  expect(await picture(directory).catch(() => null)).toEqual(before)
  return { code, out, errors }
}

async function addSnapshot (directory: string): Promise<string> {
  const store = new FileSnapshotStore({ directory, clusterId: identity.clusterId })
  await store.open()
  await store.save(
    { ...baseOf(entry(3, 1)), configuration: new Uint8Array(2) },
    (async function * () {
      yield new Uint8Array(5000).fill(3)
    })()
  )
  return join(directory, 'snapshots', 'snapshot-0000000000000003-0000000000000001')
}

describe('an inspected log', () => {
  it('shows its identity and its content', async () => {
    const directory = await logOf()
    await addSnapshot(directory)
    const found = await inspectLog(directory)
    expect(found).toMatchObject({
      identity,
      segments: [{ name: 'wal-0000000000000001', bytes: 8192, firstIndex: 1, startsAnew: true }],
      log: {
        base: { index: 0 },
        term: 2,
        vote: 'n2',
        commitIndex: 4,
        lastIndex: 5,
        lastTerm: 2,
        commands: 2,
        configurations: 1,
        tornBytes: 0
      },
      fault: null,
      snapshots: [{ index: 3, term: 1, bytes: 5000, clusterId: identity.clusterId, fault: null }]
    })
  })

  it('is described for people, and for programs with --json', async () => {
    const directory = await logOf()
    const { code, out } = await run('inspect', directory)
    expect(code).toBe(0)
    expect(out.slice(0, 4)).toEqual([
      `node n1 of cluster orders, in ${directory}`,
      'entries 1 to 5, committed through 4, the last of term 2',
      '2 commands, 1 configuration',
      'term 2, voted for n2'
    ])
    expect(out.at(-1)).toBe('segment wal-0000000000000001: 8192 bytes, from entry 1, where the log starts')
    const json = await run('verify', directory, true)
    expect(json.code).toBe(0)
    expect(JSON.parse(json.out.join())).toMatchObject({ sound: true, log: { lastIndex: 5 } })
    expect((await run('verify', directory)).out).toEqual(['the log is sound: entries 1 to 5'])
  })

  it('with a compaction and many segments starts behind the compacted entries', async () => {
    const directory = await temporaryDirectory()
    const storage = fileStorage(directory)
    await storage.open()
    await storage.append(batch(hardState(1)))
    for (let index = 1; index <= 40; index++) await storage.append(batch(null, entry(index, 1, new Uint8Array(900))))
    await storage.compact(asIndex(30))
    await storage.close()
    const { log, segments } = await inspectLog(directory)
    expect(log).toMatchObject({ base: { index: 30 }, lastIndex: 40, commitIndex: 30 })
    expect(segments.length).toBeGreaterThan(1)
    expect(segments[0]?.firstIndex).toBeLessThanOrEqual(31)
  })

  it('with a torn tail is sound, and shows the bytes that will be cut', async () => {
    const directory = await logOf()
    const { bytes, end } = await readSegment(directory)
    await writeFile(segmentPath(directory), bytes.fill(0, end - 1))
    const { code, out } = await run('verify', directory)
    expect(code).toBe(0)
    expect(out[1]).toMatch(/^\d+ bytes of a write that a crash interrupted stand at the end: never acknowledged/)
  })

  it('with damage exits with 1, and says where and what can be done', async () => {
    const directory = await logOf()
    const bytes = await readFile(segmentPath(directory))
    bytes.writeUInt8(bytes.readUInt8(300) ^ 0xff, 300)
    await writeFile(segmentPath(directory), bytes)
    for (const action of ['inspect', 'verify'] as const) {
      const { code, errors } = await run(action, directory)
      expect(code).toBe(1)
      expect(errors.join()).toMatch(
        /is damaged at byte \d+, behind index \d+: .*There are two ways out.*\(RAFT_WAL_CORRUPT\)/
      )
    }
    expect(JSON.parse((await run('verify', directory, true)).out.join())).toMatchObject({
      sound: false,
      log: null,
      fault: { code: 'RAFT_WAL_CORRUPT' }
    })
  })

  it('with a damaged snapshot exits with 1', async () => {
    const directory = await logOf()
    const path = await addSnapshot(directory)
    const bytes = await readFile(path)
    bytes.writeUInt8(bytes.readUInt8(2000) ^ 0xff, 2000)
    await writeFile(path, bytes)
    const { code, out, errors } = await run('verify', directory)
    expect([code, out]).toEqual([1, ['the log is sound: entries 1 to 5', 'snapshots: 0 of 1 sound']])
    expect(errors.join()).toContain('RAFT_SNAPSHOT_CORRUPT')
  })

  it('of a running node is not read: exit code 3', async () => {
    const directory = await logOf()
    const storage = fileStorage(directory)
    await storage.open()
    const { code, errors } = await run('inspect', directory)
    await storage.close()
    expect(code).toBe(3)
    expect(errors.join()).toContain('another running node has it open')
    expect((await run('inspect', directory)).code).toBe(0)
  })

  it('may be read-only for this user', async () => {
    const directory = await logOf()
    await chmod(segmentPath(directory), 0o400)
    await chmod(directory, 0o500)
    expect((await run('verify', directory)).code).toBe(0)
    await chmod(directory, 0o700)
  })

  it('that is missing is not reported as damaged: exit code 3, and nothing is created', async () => {
    const directory = await temporaryDirectory()
    expect(await codeOf(inspectLog(join(directory, 'missing')))).toBe('RAFT_DATA_DIR')
    expect((await run('verify', join(directory, 'missing'))).errors.join()).toContain('it does not exist')
    expect((await run('verify', directory)).errors.join()).toContain('it holds no log')
    await writeFile(join(directory, 'file'), 'x')
    expect((await run('verify', join(directory, 'file'))).errors.join()).toContain('it is not a directory')
    expect((await run('inspect', join(directory, 'file', 'below'))).code).toBe(3)
    await rm(join(directory, 'file'))
    await mkdir(join(directory, 'wal-0000000000000001'))
    expect((await run('verify', directory)).errors.join()).toContain('is not a file')
  })
})
