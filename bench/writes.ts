/**
 * Durable writes through HTTP: three nodes of `fastify-raft node` against three of etcd, both with their defaults for
 * durability, on this machine and the same file system in the same run. Turns of load on the two leaders alternate, so
 * that other work of the machine affects both; medians are compared. Prints a line of JSON per cluster and number of
 * clients, and one per ratio.
 *
 * With `--sketch`, two more clusters take turns, which do only what every durable write needs, see sketch-node.ts: one
 * with the bare HTTP server for its clients, one with a route of Fastify. Their ratios show what this machine can
 * reach, and how much of that is spent on Raft and on everything built on it.
 *
 * With `--before PROGRAM`, a cluster of another build takes turns, such as that of the commit before: PROGRAM is its
 * `main.js`.
 *
 * `node writes.js [--clients 1,16,64,256] [--seconds 2] [--rounds 5] [--to leader|follower] [--sketch]
 * [--before PROGRAM] [--directory DIR]`
 */
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { LocalCluster } from '../src/cli/local/local-cluster.ts'
import { EtcdCluster, etcdVersion } from './etcd-cluster.ts'
import { cpuMicrosOf } from './process-cpu.ts'
import type { Front } from './sketch-cluster.ts'
import { SketchCluster } from './sketch-cluster.ts'
import { median, quantile, rounded } from './statistics.ts'
import type { Load, WriteTarget } from './writes-load.ts'
import { requestBytes, writeFor } from './writes-load.ts'

const keyCount = 1_000
const valueBytes = 256
const warmUpMs = 1_000
/** Load before the first turn, so that no turn measures code that is still being compiled. */
const firstWarmUp = { clients: 64, milliseconds: 4_000 }
/** The goal as a multiple of the writes of etcd, by the number of clients. */
const aims = new Map([[1, 1.2], [16, 3], [64, 4], [256, 3]])

const { values } = parseArgs({
  options: {
    clients: { type: 'string', default: '1,16,64,256' },
    seconds: { type: 'string', default: '2' },
    rounds: { type: 'string', default: '5' },
    to: { type: 'string', default: 'leader' },
    sketch: { type: 'boolean', default: false },
    before: { type: 'string' },
    directory: { type: 'string', default: tmpdir() }
  }
})
const clientCounts = values.clients.split(',').map(Number)
const turnMs = Number(values.seconds) * 1_000
const rounds = Number(values.rounds)
if (![...clientCounts, turnMs, rounds].every((number) => number > 0)) {
  throw new RangeError('--clients, --seconds and --rounds take numbers above 0')
}
if (values.to !== 'leader' && values.to !== 'follower') throw new RangeError('--to takes leader or follower')
if (values.sketch && values.to !== 'leader') {
  throw new RangeError('--sketch goes with --to leader: its followers take no writes')
}
const toLeader = values.to === 'leader'

/** A cluster that takes writes. */
interface Contender {
  readonly name: string
  readonly pids: readonly number[]
  /** Looked up before every turn: leadership may have moved. */
  readonly target: () => Promise<WriteTarget>
  readonly stop: () => Promise<void>
}

interface Turn {
  readonly load: Load
  readonly cpuMicros: number | null
}

const oursName = 'fastify-raft'
const beforeName = 'before'
const etcdName = 'etcd'
// This file runs from build/bench.
const ourProgram = fileURLToPath(new URL('../../dist/src/cli/main.js', import.meta.url))
const keys = Array.from({ length: keyCount }, (_, at) => `bench-key-${at}`)
const value = 'v'.repeat(valueBytes)

function pick (urls: readonly string[], leader: string): string {
  const url = toLeader ? leader : urls.find((one) => one !== leader)
  if (url === undefined) throw new Error('there is no such node')
  return url
}

/** Writes in the form of a fastify-raft node. */
function puts (url: string): WriteTarget {
  const body = JSON.stringify({ value })
  return { url, requests: keys.map((key) => requestBytes('PUT', new URL(`/_cluster/v1/kv/${key}`, url), body)) }
}

async function startOurs (name: string, program: string, directory: string): Promise<Contender> {
  await mkdir(directory)
  const cluster = await LocalCluster.start({ program, gateway: false, dataDir: directory })
  return {
    name,
    pids: cluster.nodes.map(({ child }) => child.pid ?? 0),
    target: async () => puts(pick(cluster.nodes.map((node) => node.url), (await cluster.waitForLeader()).url)),
    stop: () => cluster.stop()
  }
}

async function startSketch (directory: string, front: Front): Promise<Contender> {
  const cluster = await SketchCluster.start(directory, front)
  return {
    name: `sketch on ${front}`,
    pids: cluster.pids,
    target: async () => puts(cluster.url),
    stop: () => cluster.stop()
  }
}

async function startEtcd (directory: string): Promise<Contender> {
  const cluster = await EtcdCluster.start(directory)
  return {
    name: etcdName,
    pids: cluster.pids,
    target: async () => {
      const url = pick(cluster.urls, await cluster.leaderUrl())
      const base64 = (text: string): string => Buffer.from(text).toString('base64')
      return {
        url,
        requests: keys.map((key) =>
          requestBytes('POST', new URL('/v3/kv/put', url), JSON.stringify({ key: base64(key), value: base64(value) }))
        )
      }
    },
    stop: () => cluster.stop()
  }
}

async function takeTurn (contender: Contender, clients: number, milliseconds: number): Promise<Turn> {
  const target = await contender.target()
  const before = await cpuMicrosOf(contender.pids)
  const load = await writeFor(target, clients, milliseconds)
  const after = await cpuMicrosOf(contender.pids)
  return { load, cpuMicros: before === null || after === null ? null : after - before }
}

function perSecond ({ load }: Turn): number {
  return 1_000 * load.writes / load.elapsedMs
}

function print (line: object): void {
  process.stdout.write(`${JSON.stringify(line)}\n`)
}

function report (name: string, clients: number, turns: readonly Turn[]): void {
  const latencies = turns.flatMap(({ load }) => load.latenciesMs)
  const cpu = turns.map(({ load, cpuMicros }) => cpuMicros === null ? Number.NaN : cpuMicros / load.writes)
  print({
    name,
    clients,
    medianWritesPerSecond: Math.round(median(turns.map(perSecond))),
    p50Ms: rounded(quantile(latencies, 0.5), 3),
    p99Ms: rounded(quantile(latencies, 0.99), 3),
    // JSON has no NaN: null when the system does not report it.
    cpuMicrosPerWrite: rounded(median(cpu), 1),
    rounds: turns.map((turn) => Math.round(perSecond(turn)))
  })
}

/** Prints all ratios to etcd, and those of fastify-raft to the sketches. Returns whether the goal, if any, is met. */
function compare (clients: number, turns: ReadonlyMap<string, readonly Turn[]>): boolean {
  const speeds = new Map([...turns].map(([name, taken]) => [name, median(taken.map(perSecond))]))
  const printRatio = (of: string, to: string, aim?: number): boolean => {
    const [speed, other] = [speeds.get(of), speeds.get(to)]
    if (speed === undefined || other === undefined) return true
    const held = aim === undefined || speed / other >= aim
    print({
      name: `writes, ${of} to ${to}`,
      clients,
      ratio: rounded(speed / other, 2),
      ...(aim === undefined ? {} : { aim, held })
    })
    return held
  }
  const sketches = [...speeds.keys()].filter((name) => ![oursName, beforeName, etcdName].includes(name))
  const held = printRatio(oursName, etcdName, toLeader ? aims.get(clients) : undefined)
  printRatio(oursName, beforeName)
  for (const name of sketches) printRatio(name, etcdName)
  for (const name of sketches) printRatio(oursName, name)
  return held
}

async function measure (contenders: readonly Contender[], clients: number): Promise<boolean> {
  for (const contender of contenders) await takeTurn(contender, clients, warmUpMs)
  const turns = new Map(contenders.map(({ name }) => [name, [] as Turn[]]))
  for (let round = 0; round < rounds; round++) {
    for (const contender of contenders) turns.get(contender.name)?.push(await takeTurn(contender, clients, turnMs))
  }
  for (const [name, taken] of turns) report(name, clients, taken)
  return compare(clients, turns)
}

const directory = await mkdtemp(join(values.directory, 'raft-bench-writes-'))
const contenders: Contender[] = []
try {
  const version = await etcdVersion()
  print({
    name: 'writes',
    to: values.to,
    etcd: version,
    clients: clientCounts,
    seconds: turnMs / 1_000,
    rounds,
    valueBytes,
    keys: keyCount
  })
  contenders.push(await startOurs(oursName, ourProgram, join(directory, 'ours')))
  if (values.before !== undefined) {
    contenders.push(await startOurs(beforeName, values.before, join(directory, 'before')))
  }
  if (version === null) {
    print({
      name: 'writes, fastify-raft to etcd',
      skipped: 'there is no etcd on the path (Debian: apt-get install etcd-server)'
    })
  } else contenders.push(await startEtcd(join(directory, 'etcd')))
  if (values.sketch) {
    contenders.push(await startSketch(join(directory, 'sketch-on-fastify'), 'fastify'))
    contenders.push(await startSketch(join(directory, 'sketch-on-node'), 'node:http'))
  }
  for (const contender of contenders) await takeTurn(contender, firstWarmUp.clients, firstWarmUp.milliseconds)
  for (const clients of clientCounts) if (!await measure(contenders, clients)) process.exitCode = 1
} finally {
  await Promise.all(contenders.map(({ stop }) => stop()))
  await rm(directory, { recursive: true, force: true })
}
