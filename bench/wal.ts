/**
 * What the log costs over the bare disk: batches of 1, 16 and 64 entries of 256 bytes, one batch after the other, against
 * pwrite and fdatasync of as many bytes on a file of the same kind. Both take turns within one run, because the speed of
 * a disk changes from minute to minute. Then the same while eight pbkdf2 keep the pool of libuv busy.
 *
 * `node wal.js [--rounds 40] [--turn-ms 100] [--directory DIR]`
 */
import { pbkdf2 } from 'node:crypto'
import { closeSync, fdatasyncSync, fsyncSync, openSync, writeSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { asIndex, asNodeId, asTerm } from '../src/raft/core/types.ts'
import type { Entry, Index } from '../src/raft/core/types.ts'
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
  const sizes = new Map(batchSizes.map((count) => [count, groupBytes([{ kind: 'append', batch: { hardState: null, entries: bareEntries(count) } }])]))
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

const microseconds = (milliseconds: number): string => `${(milliseconds * 1000).toFixed(0)} µs`

function report (title: string, count: number, contenders: readonly Contender[], latencies: readonly Latencies[]): void {
  console.log(`${title}, batches of ${count}:`)
  for (const [at, { name }] of contenders.entries()) {
    const one = latencies[at]
    if (one === undefined) continue
    console.log(`  ${name.padEnd(14)} ${(one.perSecond * count).toFixed(0).padStart(8)} entries/s   p50 ${microseconds(one.quantile(0.5)).padStart(8)}   p99 ${microseconds(one.quantile(0.99)).padStart(8)}`)
  }
}

const directory = await mkdtemp(join(values.directory, 'raft-bench-wal-'))
try {
  const contenders = [await openLog(join(directory, 'log')), openBare(directory)]
  const quietP50 = new Map<number, number>()
  for (const count of batchSizes) {
    const latencies = await measure(contenders, count)
    report('quiet', count, contenders, latencies)
    const [log, bare] = latencies
    if (log === undefined || bare === undefined) continue
    quietP50.set(count, log.quantile(0.5))
    const aim = count === 64 ? ' (aim: at least 0.8)' : ''
    console.log(`  share of the limit: ${(log.perSecond / bare.perSecond).toFixed(2)} of the entries/s, ${(bare.quantile(0.5) / log.quantile(0.5)).toFixed(2)} by p50${aim}`)
  }
  for (const count of batchSizes) {
    const release = keepPoolBusy()
    const latencies = await measure(contenders, count)
    await release()
    report('with eight pbkdf2', count, contenders, latencies)
    const ratio = (latencies[0]?.quantile(0.5) ?? Number.NaN) / (quietP50.get(count) ?? Number.NaN)
    console.log(`  p50 of the log: ${ratio.toFixed(2)} times the quiet one (aim: at most 2)`)
  }
  for (const { close } of contenders) await close()
} finally {
  await rm(directory, { recursive: true, force: true })
}
