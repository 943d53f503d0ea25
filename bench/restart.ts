/**
 * How long a log takes to be read back, and how much memory. Each log is written by the storage itself, in groups of
 * 500 entries of 128 bytes, and read in a process of its own, so that the memory is that of the reading alone: the most
 * the process ever held, Node.js itself included (about 45 MB).
 *
 * - `replay`: committed entries go to a reader that counts them and keeps none, as in `wal inspect`: a pass over a log
 *   of any length.
 * - `all`: the storage is opened, as a node starts, and every entry is held in an array. Snapshots keep the log short.
 *
 * The file system's cache is warm, as after the restart of a process; after a restart of the machine the disk comes on
 * top, for which the reader's share is reported as `megabytesPerSecond`.
 *
 * `node restart.js [--entries 1000000,10000000] [--all-up-to 1000000] [--directory DIR]`; one line of JSON each.
 */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import type { Entry } from '../src/raft/core/index.ts'
import { asIndex, asNodeId, asTerm } from '../src/raft/core/index.ts'
import { inspectDirectory } from '../src/raft/storage/data-directory.ts'
import { readOnlyFileOperations } from '../src/raft/storage/disk/file-system.ts'
import { FileStorage } from '../src/raft/storage/file-storage.ts'
import type { RecoveredState } from '../src/raft/storage/storage.ts'
import { recoverLog } from '../src/raft/storage/wal/recovery.ts'

const entryBytes = 128
const groupEntries = 500
const identity = { clusterId: 'bench', nodeId: 'n1' }
const megabyte = 1024 * 1024

const { values } = parseArgs({
  options: {
    entries: { type: 'string', default: '1000000,10000000' },
    'all-up-to': { type: 'string', default: '1000000' },
    directory: { type: 'string', default: tmpdir() },
    read: { type: 'string' },
    mode: { type: 'string', default: 'replay' }
  }
})

/** What one process found. */
interface Reading {
  readonly entries: number
  readonly seconds: number
  readonly peakBytes: number
}

async function write (directory: string, count: number): Promise<void> {
  const storage = new FileStorage({ directory, identity })
  await storage.open()
  const writes: Promise<void>[] = []
  for (let first = 1; first <= count; first += groupEntries) {
    const entries: Entry[] = []
    for (let index = first; index < first + groupEntries && index <= count; index++) {
      entries.push({
        index: asIndex(index),
        term: asTerm(1),
        kind: 'command',
        timeMs: 1_700_000_000_000 + index,
        data: new Uint8Array(entryBytes).fill(index)
      })
    }
    // As the core does: the hint follows what is on the disk.
    writes.push(
      storage.append({
        hardState: { term: asTerm(1), vote: asNodeId('n1'), commit: asIndex(Math.max(0, first - 1)) },
        entries
      })
    )
    if (writes.length >= 16) await Promise.all(writes.splice(0))
  }
  await Promise.all(writes)
  await storage.append({ hardState: { term: asTerm(1), vote: asNodeId('n1'), commit: asIndex(count) }, entries: [] })
  await storage.close()
}

/** Reads the log in this process, and tells the parent. */
async function read (directory: string, mode: string): Promise<void> {
  const start = performance.now()
  let applied = 0
  const onCommitted = (entries: readonly Entry[]): void => {
    for (const entry of entries) {
      const { index } = entry
      if (index !== applied + 1) throw new Error(`entry ${index} came after entry ${applied}`)
      applied = index
      if (entry.kind !== 'command' || entry.data.length !== entryBytes || entry.data[0] !== (index & 255)) {
        throw new Error(`entry ${index} is not what was written`)
      }
    }
  }
  const storage = new FileStorage({ directory, identity })
  const recovered = mode === 'replay' ? await replay(directory, onCommitted) : await storage.open()
  const seconds = (performance.now() - start) / 1000
  const reading: Reading = {
    entries: recovered.base.index + recovered.entries.length,
    seconds,
    peakBytes: process.resourceUsage().maxRSS * 1024
  }
  if (mode === 'replay' && applied !== reading.entries) {
    throw new Error(`${applied} of ${reading.entries} entries were handed over`)
  }
  await storage.close()
  process.send?.(reading)
}

async function replay (directory: string, onCommitted: (entries: readonly Entry[]) => void): Promise<RecoveredState> {
  const { segmentIds } = await inspectDirectory(readOnlyFileOperations, directory)
  return (await recoverLog(readOnlyFileOperations, directory, segmentIds, identity, { onCommitted })).state
}

async function measure (directory: string, mode: string): Promise<Reading> {
  const child = fork(fileURLToPath(import.meta.url), ['--read', directory, '--mode', mode])
  const exited = once(child, 'exit')
  const [reading] = await Promise.race([
    once(child, 'message') as Promise<[Reading]>,
    exited.then(([code]) => {
      throw new Error(`the reader ended with code ${String(code)}`)
    })
  ])
  await exited
  return reading
}

async function sizeOf (directory: string): Promise<number> {
  let bytes = 0
  for (const name of await readdir(directory)) bytes += (await stat(join(directory, name))).size
  return bytes
}

async function compare (count: number, modes: readonly string[]): Promise<void> {
  const base = await mkdtemp(join(values.directory, 'raft-bench-restart-'))
  const directory = join(base, 'log')
  try {
    await write(directory, count)
    const logBytes = await sizeOf(directory)
    for (const mode of modes) {
      const { entries, seconds, peakBytes } = await measure(directory, mode)
      if (entries !== count) throw new Error(`${entries} of ${count} entries were read back`)
      console.log(JSON.stringify({
        bench: 'restart',
        mode,
        entries,
        entryBytes,
        seconds: Number(seconds.toFixed(2)),
        peakMegabytes: Math.round(peakBytes / megabyte),
        megabytesPerSecond: Math.round(logBytes / megabyte / seconds),
        ...(count === 1_000_000 ? { shareOfTimeAllowed: Number((seconds / 4).toFixed(2)) } : {}),
        shareOfMemoryAllowed: Number((peakBytes / megabyte / 400).toFixed(2))
      }))
    }
  } finally {
    await rm(base, { recursive: true, force: true })
  }
}

if (values.read === undefined) {
  for (const count of values.entries.split(',').map(Number)) {
    await compare(count, count <= Number(values['all-up-to']) ? ['replay', 'all'] : ['replay'])
  }
} else {
  await read(values.read, values.mode)
}
