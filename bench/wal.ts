/**
 * What the log costs over the bare disk: batches of 1, 16 and 64 entries of 256 bytes, one batch after the other, against
 * pwrite and fdatasync of as many bytes on a file of the same kind. Both take turns within one run, because the speed of
 * a disk changes from minute to minute. Then the same while eight pbkdf2 keep the pool of libuv busy.
 *
 * The bare limit is the strictest there is: a plain synchronous loop on the main thread, which encodes nothing, checks
 * nothing, wakes nobody and prepares no file, and so leaves no time to anything else in the process. The log hands each
 * batch to its thread and is woken when it is durable: with one batch at a time that hand-over is paid in full. What
 * the same hand-over costs alone, with the same bytes and none of the log around it, is reported as `handed over`.
 *
 * `node wal.js [--rounds 40] [--turn-ms 100] [--directory DIR]`; one line of JSON a result.
 */
import { pbkdf2 } from 'node:crypto'
import { closeSync, fdatasyncSync, fsyncSync, openSync, writeSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { asIndex, asNodeId, asTerm } from '../src/raft/core/types.ts'
import type { Entry, Index } from '../src/raft/core/types.ts'
import { nodeFileOperations, writeFully } from '../src/raft/storage/file-operations.ts'
import { FileStorage } from '../src/raft/storage/file-storage.ts'
import { groupBytes } from '../src/raft/storage/group.ts'

const entryBytes = 256
const batchSizes = [1, 16, 64]
const bareFileBytes = 16 * 1024 * 1024

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '40' },
    'turn-ms': { type: 'string', default: '100' },
    directory: { type: 'string', default: tmpdir() }
  }
})
const rounds = Number(values.rounds)
const turnMs = Number(values['turn-ms'])

/** One thing to measure: writes a batch durably. */
interface Contender {
  readonly name: string
  readonly write: (entries: number) => Promise<void>
  readonly close: () => Promise<void>
}

async function openLog (directory: string): Promise<Contender> {
  const storage = new FileStorage({ directory, identity: { clusterId: 'bench', nodeId: 'n1' } })
  await storage.open()
  await storage.append({ hardState: { term: asTerm(1), vote: asNodeId('n1'), commit: asIndex(0) }, entries: [] })
  const data = new Uint8Array(entryBytes).fill(7)
  let last = 0
  let releasing: Promise<void> = Promise.resolve()
  return {
    name: 'the log',
    write: async (count) => {
      const entries: Entry[] = []
      for (let i = 1; i <= count; i += 1) entries.push({ index: asIndex(last + i), term: asTerm(1), kind: 'command', timeMs: 1, data })
      last += count
      await storage.append({ hardState: null, entries })
      // As a node with snapshots does, so that the disk does not fill.
      if (last % 200_000 < count) releasing = storage.release(last as Index)
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
  const bytes = Buffer.alloc(64 * 1024, 7)
  let position = 0
  return {
    name: 'the bare disk',
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
  const disk = nodeFileOperations.startDisk()
  const sizes = new Map(batchSizes.map((count) => [count, bareBytes(count)]))
  let position = 0
  return {
    name: 'handed over',
    write: async (count) => {
      const size = sizes.get(count) ?? 0
      if (position + size > bareFileBytes) position = 0
      await disk.write(file, disk.stage(size), position)
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
  return groupBytes([{ kind: 'append', batch: { hardState: null, entries: bareEntries(count) } }])
}

function bareEntries (count: number): Entry[] {
  return Array.from({ length: count }, (_, i) => ({ index: asIndex(i + 1), term: asTerm(1), kind: 'command', timeMs: 1, data: new Uint8Array(entryBytes) }))
}

/** Latencies of one contender, in milliseconds. */
class Latencies {
  readonly #all: number[] = []

  add (milliseconds: number): void { this.#all.push(milliseconds) }

  quantile (share: number): number {
    const sorted = this.#all.toSorted((a, b) => a - b)
    return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN
  }

  get perSecond (): number {
    return 1000 * this.#all.length / this.#all.reduce((sum, one) => sum + one, 0)
  }
}

async function measure (contenders: readonly Contender[], count: number): Promise<Latencies[]> {
  const latencies = contenders.map(() => new Latencies())
  for (let round = 0; round < rounds; round += 1) {
    for (const [at, { write }] of contenders.entries()) {
      const turnEnds = performance.now() + turnMs
      while (performance.now() < turnEnds) {
        const start = performance.now()
        await write(count)
        latencies[at]?.add(performance.now() - start)
      }
    }
  }
  return latencies
}

/** Keeps eight pbkdf2 running until the returned function is called. */
function keepPoolBusy (): () => Promise<void> {
  const end = new AbortController()
  const busy = Array.from({ length: 8 }, async () => {
    while (!end.signal.aborted) await new Promise((resolve) => { pbkdf2('password', 'salt', 100_000, 64, 'sha512', resolve) })
  })
  return async () => {
    end.abort()
    await Promise.all(busy)
  }
}

const microseconds = (milliseconds: number): number => Math.round(milliseconds * 1000)
const share = (part: number, whole: number): number => Number((part / whole).toFixed(2))

/** Prints what the contenders came to; the log is the first, the bare disk the last. */
function report (load: string, batch: number, contenders: readonly Contender[], latencies: readonly Latencies[], quietP50: number | undefined): void {
  const results = contenders.map(({ name }, at) => ({ name, latency: latencies[at] ?? new Latencies() }))
  for (const { name, latency } of results) {
    console.log(JSON.stringify({
      bench: 'wal', load, batch, name, entriesPerSecond: Math.round(latency.perSecond * batch), p50us: microseconds(latency.quantile(0.5)), p99us: microseconds(latency.quantile(0.99))
    }))
  }
  const [log, bare] = [results[0]?.latency, results.at(-1)?.latency]
  if (log === undefined || bare === undefined) return
  console.log(JSON.stringify({
    bench: 'wal',
    load,
    batch,
    shareOfLimit: share(log.perSecond, bare.perSecond),
    shareOfLimitByP50: share(bare.quantile(0.5), log.quantile(0.5)),
    ...(quietP50 === undefined ? {} : { p50OverQuiet: share(log.quantile(0.5), quietP50) })
  }))
}

const directory = await mkdtemp(join(values.directory, 'raft-bench-wal-'))
try {
  const contenders = [await openLog(join(directory, 'log')), await openThread(directory), openBare(directory)]
  const quietP50 = new Map<number, number>()
  for (const count of batchSizes) {
    const latencies = await measure(contenders, count)
    report('quiet', count, contenders, latencies, undefined)
    quietP50.set(count, latencies[0]?.quantile(0.5) ?? Number.NaN)
  }
  for (const count of batchSizes) {
    const release = keepPoolBusy()
    const latencies = await measure(contenders, count)
    await release()
    report('eight pbkdf2', count, contenders, latencies, quietP50.get(count))
  }
  for (const { close } of contenders) await close()
} finally {
  await rm(directory, { recursive: true, force: true })
}
