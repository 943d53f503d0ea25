/**
 * What schedules cost the node that leads, and how it grows: to register them, until they are defined, memory, a tick
 * at which all of them come due at once, the list of them, and standing by. Half of them are in UTC. One process, with
 * a log on disk.
 *
 * `node schedules.js [--schedules 100,1000,5000] [--ticks 3]`; one line of JSON for each number of schedules.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import type { FastifyInstance } from 'fastify'
import Fastify from 'fastify'
import { cluster } from '../src/plugin/index.ts'
import { median, quantile, rounded } from './statistics.ts'

const { values } = parseArgs({
  options: { schedules: { type: 'string', default: '100,1000,5000' }, ticks: { type: 'string', default: '3' } }
})
const counts = values.schedules.split(',').map(Number)
const ticks = Number(values.ticks)
if (![...counts, ticks].every((number) => number > 0)) throw new RangeError('all options take numbers above 0')
/** Time between two ticks: what one begins has ended long before the next. */
const periodMs = 15_000
const standByMs = 3_000
setFlagsFromString('--expose_gc')
const collectGarbage = runInNewContext('gc') as () => void

function heapBytes (): number {
  collectGarbage()
  return process.memoryUsage().heapUsed
}

/** Processor time that this process has used, in milliseconds. */
function cpuMs (): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1_000
}

async function timed (work: () => unknown): Promise<number> {
  const startMs = performance.now()
  await work()
  return performance.now() - startMs
}

async function until (condition: () => boolean): Promise<void> {
  while (!condition()) await sleep(5)
}

interface Tick {
  /** From the slot to the start of the run in the middle, and of the last one. */
  readonly medianMs: number
  readonly lastMs: number
  /** Processor time for each run, in microseconds. */
  readonly cpuUsEach: number
  /** The longest time for which the thread did nothing else. */
  readonly blockedMs: number
}

/** The next tick, of all schedules. */
async function measureTick (count: number, latesMs: number[]): Promise<Tick> {
  await sleep(periodMs - Date.now() % periodMs - 500)
  latesMs.length = 0
  const delay = monitorEventLoopDelay({ resolution: 1 })
  delay.enable()
  const fromMs = cpuMs()
  await until(() => latesMs.length >= count)
  const [medianMs, lastMs] = [median(latesMs), quantile(latesMs, 1)]
  // Until all have told their end.
  await sleep(1_000)
  delay.disable()
  return { medianMs, lastMs, cpuUsEach: 1_000 * (cpuMs() - fromMs) / count, blockedMs: delay.max / 1e6 }
}

async function measure (app: FastifyInstance, count: number): Promise<object> {
  await app.ready()
  await app.cluster.waitForLeadership()
  const latesMs: number[] = []
  const beforeBytes = heapBytes()
  const startMs = performance.now()
  for (let at = 0; at < count; at++) {
    const options = { timeZone: at % 2 === 0 ? 'UTC' : 'Europe/Paris', missed: 'skip' } as const
    app.cluster.schedule(`s${at}`, `*/${periodMs / 1_000} * * * * *`, ({ scheduledFor }) => {
      latesMs.push(Date.now() - scheduledFor.getTime())
    }, options)
  }
  const registeredMs = performance.now() - startMs
  const { schedules } = app.cluster
  const isLastDefined = (): Promise<boolean> => schedules.status(`s${count - 1}`).then(() => true, () => false)
  while (!await isLastDefined()) await sleep(20)
  const definedMs = performance.now() - startMs
  await until(() => latesMs.length >= count)
  await sleep(1_000)
  const bytesPerSchedule = Math.round((heapBytes() - beforeBytes) / count)
  const [firstListMs, listMs] = [await timed(() => schedules.list()), await timed(() => schedules.list())]
  const taken: Tick[] = []
  for (let tick = 0; tick < ticks; tick++) taken.push(await measureTick(count, latesMs))
  const fromMs = cpuMs()
  await sleep(standByMs)
  const standByCpuMsPerSecond = 1_000 * (cpuMs() - fromMs) / standByMs
  const middleOf = (name: keyof Tick): number => rounded(median(taken.map((tick) => tick[name])), 1)
  return {
    schedules: count,
    registeredMs: rounded(registeredMs, 1),
    definedMs: rounded(definedMs, 1),
    bytesPerSchedule,
    firstListMs: rounded(firstListMs, 1),
    listMs: rounded(listMs, 1),
    tick: {
      medianMs: middleOf('medianMs'),
      lastMs: middleOf('lastMs'),
      cpuUsEach: middleOf('cpuUsEach'),
      blockedMs: middleOf('blockedMs')
    },
    standByCpuMsPerSecond: rounded(standByCpuMsPerSecond, 1)
  }
}

for (const count of counts) {
  const directory = await mkdtemp(join(tmpdir(), 'raft-bench-schedules-'))
  const app = Fastify()
  try {
    await app.register(cluster, { dataDir: join(directory, 'data') })
    process.stdout.write(`${JSON.stringify(await measure(app, count))}\n`)
  } finally {
    await app.close()
    await rm(directory, { recursive: true, force: true })
  }
}
