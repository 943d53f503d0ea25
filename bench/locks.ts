/**
 * Locks taken and given back: three copies of an application with the plugin, each with its log on disk, in the process
 * that leads and over HTTP, against locks of three etcd processes over HTTP and redlock on one redis in memory, in the
 * same run. Each client has a lock of its own. Turns alternate, so that other work of the machine affects all; medians
 * are compared. Then many locks at once, and many who wait for one. Prints a line of JSON each.
 *
 * `node locks.js [--clients 1,16,64] [--seconds 2] [--rounds 5] [--locks 1000,10000] [--waiters 1000]`
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { etcdVersion } from './etcd-cluster.ts'
import type { LockContender } from './lock-contenders.ts'
import { LockServers, startEtcdLocks, startRedlock } from './lock-contenders.ts'
import type { LockLoad } from './lock-server.ts'
import { median, quantile, rounded } from './statistics.ts'

const { values } = parseArgs({
  options: {
    clients: { type: 'string', default: '1,16,64' },
    seconds: { type: 'string', default: '2' },
    rounds: { type: 'string', default: '5' },
    locks: { type: 'string', default: '1000,10000' },
    waiters: { type: 'string', default: '1000' }
  }
})
const clientCounts = values.clients.split(',').map(Number)
const lockCounts = values.locks.split(',').map(Number)
const [turnMs, rounds, waiters] = [Number(values.seconds) * 1_000, Number(values.rounds), Number(values.waiters)]
if (![...clientCounts, ...lockCounts, turnMs, rounds, waiters].every((number) => number > 0)) {
  throw new RangeError('all options take numbers above 0')
}
/** The goal as a multiple of the locks of etcd. */
const aim = 5

function print (line: object): void {
  process.stdout.write(`${JSON.stringify(line)}\n`)
}

function perSecond ({ latenciesMs, elapsedMs }: LockLoad): number {
  return 1_000 * latenciesMs.length / elapsedMs
}

async function measure (contenders: readonly LockContender[], clients: number): Promise<void> {
  const turns = new Map(contenders.map((contender) => [contender.name, [] as LockLoad[]]))
  for (const contender of contenders) await contender.load(clients, turnMs / 2)
  for (let round = 0; round < rounds; round++) {
    for (const contender of contenders) turns.get(contender.name)?.push(await contender.load(clients, turnMs))
  }
  const speeds = new Map([...turns].map(([name, taken]) => [name, median(taken.map(perSecond))]))
  const etcd = speeds.get('etcd')
  for (const [name, taken] of turns) {
    const latencies = taken.flatMap(({ latenciesMs }) => latenciesMs)
    const ratio = etcd === undefined ? null : rounded((speeds.get(name) ?? Number.NaN) / etcd, 2)
    const isOurs = name.startsWith('fastify-raft')
    print({
      name,
      clients,
      medianLocksPerSecond: Math.round(speeds.get(name) ?? Number.NaN),
      p50Ms: rounded(quantile(latencies, 0.5), 3),
      p99Ms: rounded(quantile(latencies, 0.99), 3),
      ratioToEtcd: ratio,
      ...(isOurs && ratio !== null ? { aim, held: ratio >= aim } : {})
    })
    if (isOurs && ratio !== null && ratio < aim) process.exitCode = 1
  }
}

const directory = await mkdtemp(join(tmpdir(), 'raft-bench-locks-'))
const stops: Array<() => Promise<void>> = []
try {
  const servers = await LockServers.start(join(directory, 'ours'))
  stops.push(() => servers.stop())
  const contenders: LockContender[] = [servers.inProcess, servers.overHttp]
  if (await etcdVersion() === null) print({ name: 'etcd', skipped: 'there is no etcd on the path' })
  else contenders.push(await startEtcdLocks(join(directory, 'etcd')))
  const redlock = await startRedlock(join(directory, 'redis'))
  if (redlock === null) print({ name: 'redlock', skipped: 'there is no redis-server on the path' })
  else contenders.push(redlock)
  stops.push(...contenders.slice(2).map(({ stop }) => stop))
  for (const clients of clientCounts) await measure(contenders, clients)
  for (const locks of lockCounts) print({ name: 'scale', ...await servers.scale(locks, waiters) })
} finally {
  await Promise.all(stops.map((stop) => stop()))
  await rm(directory, { recursive: true, force: true })
}
