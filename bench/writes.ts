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
 * With `--voters`, clusters of these sizes are measured instead, under the load of the first number of clients (64
 * unless given): what a write costs the leader, and what each follower adds to that.
 *
 * `node writes.js [--clients 1,16,64,256] [--seconds 2] [--rounds 5] [--to leader|follower] [--sketch]
 * [--voters 1,3,5,7] [--before PROGRAM] [--directory DIR]`
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { etcdVersion } from './etcd-cluster.ts'
import { median, quantile, rounded } from './statistics.ts'
import type { Contender, Turn } from './write-contenders.ts'
import { startEtcd, startOurs, startSketch, takeTurn, written } from './write-contenders.ts'
import { measureVoters } from './write-voters.ts'

const warmUpMs = 1_000
/** Load before the first turn, so that no turn measures code that is still being compiled. */
const firstWarmUp = { clients: 64, milliseconds: 4_000 }
/** The goal as a multiple of the writes of etcd, by the number of clients. */
const aims = new Map([[1, 1.2], [16, 3], [64, 4], [256, 3]])
/** Most processor time of the leader for a write, in microseconds, by the number of clients. */
const cpuAims = new Map([[64, 50]])

const { values } = parseArgs({
  options: {
    clients: { type: 'string' },
    seconds: { type: 'string', default: '2' },
    rounds: { type: 'string', default: '5' },
    to: { type: 'string', default: 'leader' },
    sketch: { type: 'boolean', default: false },
    voters: { type: 'string' },
    before: { type: 'string' },
    directory: { type: 'string', default: tmpdir() }
  }
})
const clientCounts = (values.clients ?? (values.voters === undefined ? '1,16,64,256' : '64')).split(',').map(Number)
const turnMs = Number(values.seconds) * 1_000
const rounds = Number(values.rounds)
const voterCounts = values.voters?.split(',').map(Number).sort((one, other) => one - other) ?? []
if (![...clientCounts, ...voterCounts, turnMs, rounds].every((number) => number > 0)) {
  throw new RangeError('--clients, --voters, --seconds and --rounds take numbers above 0')
}
if (values.to !== 'leader' && values.to !== 'follower') throw new RangeError('--to takes leader or follower')
if (values.sketch && values.to !== 'leader') {
  throw new RangeError('--sketch goes with --to leader: its followers take no writes')
}
if (values.voters !== undefined && (values.sketch || values.to !== 'leader')) {
  throw new RangeError('--voters goes with --to leader, and without --sketch')
}
const { to } = values
const toLeader = to === 'leader'

const oursName = 'fastify-raft'
const beforeName = 'before'
const etcdName = 'etcd'
// This file runs from build/bench.
const ourProgram = fileURLToPath(new URL('../../dist/src/cli/main.js', import.meta.url))

function perSecond ({ load }: Turn): number {
  return 1_000 * load.writes / load.elapsedMs
}

function print (line: object): void {
  process.stdout.write(`${JSON.stringify(line)}\n`)
}

/** Prints how one cluster did. Returns whether it took as little processor time as it is to. */
function report (name: string, clients: number, turns: readonly Turn[]): boolean {
  const latencies = turns.flatMap(({ load }) => load.latenciesMs)
  const cpuOf = (micros: (turn: Turn) => number | null): number =>
    median(turns.map((turn) => (micros(turn) ?? Number.NaN) / turn.load.writes))
  const leaderCpu = cpuOf(({ leaderCpuMicros }) => leaderCpuMicros)
  const cpuAim = name === oursName && toLeader ? cpuAims.get(clients) : undefined
  const held = cpuAim === undefined || !(leaderCpu > cpuAim)
  print({
    name,
    clients,
    medianWritesPerSecond: Math.round(median(turns.map(perSecond))),
    p50Ms: rounded(quantile(latencies, 0.5), 3),
    p99Ms: rounded(quantile(latencies, 0.99), 3),
    // JSON has no NaN: null when the system does not report it.
    cpuMicrosPerWrite: rounded(cpuOf(({ cpuMicros }) => cpuMicros), 1),
    leaderCpuMicrosPerWrite: rounded(leaderCpu, 1),
    ...(cpuAim === undefined ? {} : { leaderCpuAim: cpuAim, held }),
    rounds: turns.map((turn) => Math.round(perSecond(turn)))
  })
  return held
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
  const isCheap = [...turns].map(([name, taken]) => report(name, clients, taken)).every((held) => held)
  return compare(clients, turns) && isCheap
}

/** The builds that are measured. */
const programs: ReadonlyArray<readonly [name: string, program: string]> = [
  [oursName, ourProgram],
  ...(values.before === undefined ? [] : [[beforeName, values.before] as const])
]

async function startAll (directory: string, version: string | null, contenders: Contender[]): Promise<void> {
  for (const [name, program] of programs) {
    contenders.push(await startOurs({ name, program, directory: join(directory, name), to }))
  }
  if (version === null) {
    print({
      name: 'writes, fastify-raft to etcd',
      skipped: 'there is no etcd on the path (Debian: apt-get install etcd-server)'
    })
  } else contenders.push(await startEtcd(etcdName, join(directory, 'etcd'), to))
  if (values.sketch) {
    contenders.push(await startSketch(join(directory, 'sketch-on-fastify'), 'fastify'))
    contenders.push(await startSketch(join(directory, 'sketch-on-node'), 'node:http'))
  }
  for (const contender of contenders) await takeTurn(contender, firstWarmUp.clients, firstWarmUp.milliseconds)
}

const directory = await mkdtemp(join(values.directory, 'raft-bench-writes-'))
const contenders: Contender[] = []
try {
  const version = await etcdVersion()
  const clients = voterCounts.length === 0 ? clientCounts : clientCounts.slice(0, 1)
  const common = { to, seconds: turnMs / 1_000, rounds, valueBytes: written.valueBytes, keys: written.keys }
  if (voterCounts.length > 0) {
    print({ name: 'writes by voters', voters: voterCounts, clients, ...common })
    const voters = { voters: voterCounts, programs, directory, clients: clients[0] ?? 1, turnMs, rounds, print }
    if (!await measureVoters({ ...voters, warmUpMs: firstWarmUp.milliseconds })) process.exitCode = 1
  } else {
    print({ name: 'writes', etcd: version, clients, ...common })
    await startAll(directory, version, contenders)
    for (const count of clients) if (!await measure(contenders, count)) process.exitCode = 1
  }
} finally {
  await Promise.all(contenders.map(({ stop }) => stop()))
  await rm(directory, { recursive: true, force: true })
}
