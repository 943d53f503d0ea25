/**
 * What the log costs over the bare disk: batches of 1, 16 and 64 entries of 256 bytes against pwrite and fdatasync of
 * as many bytes on a file of the same kind. All take turns within one run, because the speed of a disk changes from
 * minute to minute. Then the same while eight pbkdf2 keep the pool of libuv busy. Measured are
 *
 * - `the log, in turn`: a batch is appended when the one before is durable. So each pays for all that is not the disk:
 *   building and encoding it, and waking the thread that writes and the one that waits.
 * - `the log, two under way`: one batch is being written, and the next one is appended meanwhile, as in a node that is
 *   busy. Each is still a write and a sync of its own, one after the other, and none is merged with another: encoding
 *   overlaps with the disk's work, waking does not. A batch waits for the one before it, so it takes twice as long.
 * - `handed over`: the bare bytes through the thread that the log uses, in turn, and none of the log around it.
 * - `the bare disk`: the limit, and the strictest there is: a plain synchronous loop on the main thread, which encodes
 *   nothing, checks nothing, wakes nobody and prepares no file, and so leaves no time to anything else in the process.
 *
 * Entries a second count all the time of a turn; latencies are from the append until the batch is durable.
 *
 * `node wal.js [--batches 1,16,64] [--rounds 30] [--turn-ms 100] [--directory DIR]`; one line of JSON a result.
 */
import { pbkdf2 } from 'node:crypto'
import { closeSync, fdatasyncSync, fsyncSync, openSync, writeSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import type { Entry, Index } from '../src/raft/core/index.ts'
import { asIndex, asNodeId, asTerm } from '../src/raft/core/index.ts'
import { writeFully } from '../src/raft/storage/disk/file-operations.ts'
import { nodeFileOperations } from '../src/raft/storage/disk/file-system.ts'
import { FileStorage } from '../src/raft/storage/file-storage.ts'
import { changeBytes, endMarkBytes, groupHeadBytes } from '../src/raft/storage/wal/group.ts'

const entryBytes = 256
const bareFileBytes = 16 * 1024 * 1024
const bufferBytes = 64 * 1024

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '30' },
    batches: { type: 'string', default: '1,16,64' },
    'turn-ms': { type: 'string', default: '100' },
    directory: { type: 'string', default: tmpdir() }
  }
})
const rounds = Number(values.rounds)
const batchSizes = values.batches.split(',').map(Number)
const turnMs = Number(values['turn-ms'])

/** One thing to measure: writes a batch durably. */
interface Contender {
  readonly name: string
  /** How many batches are under way at a time. */
  readonly underWay: number
  readonly write: (entries: number) => Promise<void>
  readonly close: () => Promise<void>
}

async function openLog (directory: string, name: string, underWay: number): Promise<Contender> {
  const storage = new FileStorage({ directory, identity: { clusterId: 'bench', nodeId: 'n1' } })
  await storage.open()
  await storage.append({ hardState: { term: asTerm(1), vote: asNodeId('n1'), commit: asIndex(0) }, entries: [] })
  const data = new Uint8Array(entryBytes).fill(7)
  let last = 0
  let releasing: Promise<void> = Promise.resolve()
  return {
    name,
    underWay,
    write: async (count) => {
      const entries: Entry[] = []
      for (let i = 1; i <= count; i++) {
        entries.push({ index: asIndex(last + i), term: asTerm(1), kind: 'command', timeMs: 1, data })
      }
      last += count
      await storage.append({ hardState: null, entries })
      // As a node with snapshots does, so that the disk does not fill.
      if (last % 200_000 < count) releasing = storage.compact(last as Index)
    },
    close: async () => {
      await releasing
      await storage.close()
    }
  }
}

function openBare (directory: string): Contender {
  const descriptor = openSync(join(directory, 'bare'), 'w+')
  writeSync(descriptor, Buffer.alloc(bareFileBytes))
  fsyncSync(descriptor)
  const sizes = new Map(batchSizes.map((count) => [count, bareBytes(count)]))
  const bytes = Buffer.alloc(bufferBytes, 7)
  let position = 0
  return {
    name: 'the bare disk',
    underWay: 1,
    write: async (count) => {
      const size = sizes.get(count) ?? 0
      if (position + size > bareFileBytes) position = 0
      writeSync(descriptor, bytes, 0, size, position)
      fdatasyncSync(descriptor)
      position += size
    },
    close: async () => { closeSync(descriptor) }
  }
}

/** The bare disk through the thread that the log uses. */
async function openThread (directory: string): Promise<Contender> {
  const file = await nodeFileOperations.createNew(join(directory, 'thread'))
  await writeFully(file, Buffer.alloc(bareFileBytes), 0)
  await file.sync()
  const disk = nodeFileOperations.startDisk('log')
  const memory = disk.allocate(bufferBytes)
  const sizes = new Map(batchSizes.map((count) => [count, bareBytes(count)]))
  let position = 0
  return {
    name: 'handed over',
    underWay: 1,
    write: async (count) => {
      const size = sizes.get(count) ?? 0
      if (position + size > bareFileBytes) position = 0
      await disk.write(file, memory.subarray(0, size), position)
      position += size
    },
    close: async () => {
      await disk.stop()
      await file.close()
    }
  }
}

/** Bytes of a batch of this many entries, as the log writes them. */
function bareBytes (count: number): number {
  return (
    groupHeadBytes +
    changeBytes({ kind: 'append', batch: { hardState: null, entries: bareEntries(count) } }) +
    endMarkBytes
  )
}

function bareEntries (count: number): Entry[] {
  return Array.from({ length: count }, (_, i) => ({
    index: asIndex(i + 1),
    term: asTerm(1),
    kind: 'command',
    timeMs: 1,
    data: new Uint8Array(entryBytes)
  }))
}

/** What one contender came to, in milliseconds. */
class Timings {
  readonly #all: number[] = []
  #turnsMs = 0

  add (latencyMs: number): void { this.#all.push(latencyMs) }
  addTurn (durationMs: number): void { this.#turnsMs += durationMs }

  quantile (share: number): number {
    const sorted = this.#all.toSorted((a, b) => a - b)
    return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN
  }

  get perSecond (): number {
    return 1000 * this.#all.length / this.#turnsMs
  }
}

async function takeTurn ({ underWay, write }: Contender, count: number, timings: Timings): Promise<void> {
  const start = performance.now()
  const keepWriting = async (): Promise<void> => {
    while (performance.now() < start + turnMs) {
      const appended = performance.now()
      await write(count)
      timings.add(performance.now() - appended)
    }
  }
  const writing = [keepWriting()]
  while (writing.length < underWay) {
    // Not in the same go, which would make one group of both, time and again.
    await nextTurn()
    writing.push(keepWriting())
  }
  await Promise.all(writing)
  timings.addTurn(performance.now() - start)
}

async function measure (contenders: readonly Contender[], count: number): Promise<Timings[]> {
  const timings = contenders.map(() => new Timings())
  for (let round = 0; round < rounds; round++) {
    for (const [at, contender] of contenders.entries()) await takeTurn(contender, count, timings[at] ?? new Timings())
  }
  return timings
}

/** Keeps eight pbkdf2 running until the returned function is called. */
function keepPoolBusy (): () => Promise<void> {
  const end = new AbortController()
  const busy = Array.from({ length: 8 }, async () => {
    while (!end.signal.aborted) {
      await new Promise((resolve) => { pbkdf2('password', 'salt', 100_000, 64, 'sha512', resolve) })
    }
  })
  return async () => {
    end.abort()
    await Promise.all(busy)
  }
}

function microseconds (milliseconds: number): number {
  return Math.round(milliseconds * 1000)
}
function share (part: number, whole: number): number {
  return Number((part / whole).toFixed(2))
}

/** Prints what the contenders came to; the bare disk is the last. */
function report (
  load: string,
  batch: number,
  contenders: readonly Contender[],
  timings: readonly Timings[],
  quiet: readonly Timings[] | undefined
): void {
  const limit = timings.at(-1)?.perSecond ?? Number.NaN
  for (const [at, { name }] of contenders.entries()) {
    const { perSecond } = timings[at] ?? new Timings()
    const p50 = timings[at]?.quantile(0.5) ?? Number.NaN
    console.log(
      JSON.stringify({
        bench: 'wal',
        load,
        batch,
        name,
        entriesPerSecond: Math.round(perSecond * batch),
        p50us: microseconds(p50),
        p99us: microseconds(timings[at]?.quantile(0.99) ?? Number.NaN),
        shareOfLimit: share(perSecond, limit),
        ...(quiet === undefined ? {} : { p50OverQuiet: share(p50, quiet[at]?.quantile(0.5) ?? Number.NaN) })
      })
    )
  }
}

const directory = await mkdtemp(join(values.directory, 'raft-bench-wal-'))
try {
  const contenders = [
    await openLog(join(directory, 'in-turn'), 'the log, in turn', 1),
    await openLog(join(directory, 'two'), 'the log, two under way', 2),
    await openThread(directory),
    openBare(directory)
  ]
  const quiet = new Map<number, readonly Timings[]>()
  for (const count of batchSizes) {
    const timings = await measure(contenders, count)
    report('quiet', count, contenders, timings, undefined)
    quiet.set(count, timings)
  }
  for (const count of batchSizes) {
    const release = keepPoolBusy()
    const timings = await measure(contenders, count)
    await release()
    report('eight pbkdf2', count, contenders, timings, quiet.get(count))
  }
  for (const { close } of contenders) await close()
} finally {
  await rm(directory, { recursive: true, force: true })
}
