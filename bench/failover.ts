/**
 * How long writes fail when the leader dies or hands over: three nodes of `fastify-raft node` behind the gateway,
 * against three of etcd with their defaults, on this machine in the same run. One write is sent every few milliseconds,
 * to the gateway, and to the etcd members that stay. A round kills the leader with SIGKILL at a random moment. Its
 * figure is the time from then until the first write that was sent afterwards is acknowledged. Rounds of the clusters
 * alternate, and the killed node is started again after each.
 *
 * Then leadership is handed over under the same load. Counted are the writes that fail and the longest that one takes.
 *
 * Prints a line of JSON per result, with the ratios. Exit code 1 says that an aim was missed.
 *
 * With `--before PROGRAM`, a cluster of another build takes turns, such as that of the commit before: PROGRAM is its
 * `main.js`.
 *
 * `node failover.js [--rounds 20] [--handovers 20] [--every 10] [--before PROGRAM] [--directory DIR]`
 */
import { randomUUID } from 'node:crypto'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { Agent, request } from 'undici'
import { LocalCluster } from '../src/cli/local/local-cluster.ts'
import { pollUntil } from '../src/cli/local/polling.ts'
import { EtcdCluster, etcdVersion } from './etcd-cluster.ts'
import { median, quantile, rounded } from './statistics.ts'
import type { Attempt } from './steady-load.ts'
import { SteadyLoad } from './steady-load.ts'

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '20' },
    handovers: { type: 'string', default: '20' },
    every: { type: 'string', default: '10' },
    before: { type: 'string' },
    directory: { type: 'string', default: tmpdir() }
  }
})
const rounds = Number(values.rounds)
const handovers = Number(values.handovers)
const everyMs = Number(values.every)
if (!Number.isSafeInteger(rounds) || rounds < 1) throw new RangeError('--rounds must be a whole number above 0')
if (!Number.isSafeInteger(handovers) || handovers < 0) throw new RangeError('--handovers must be a whole number')
if (!(everyMs >= 1)) throw new RangeError('--every must be at least 1 millisecond')

const mostOfEtcd = 0.3
const longestStallMs = 150
const recoveryMs = 30_000
/** Kills come at any moment between two heartbeats. Milliseconds. */
const settleMs = 400
const spreadMs = 200

/** A cluster whose leader can be killed under load. */
interface Contender {
  readonly name: string
  /** Sends one write. Resolves with what came instead of a success, or null. */
  readonly write: (signal: AbortSignal) => Promise<string | null>
  /** Finds the leader and resolves, at a random moment, with what kills it. */
  readonly target: () => Promise<Target>
  readonly stop: () => Promise<void>
}

/** The leader of the moment. */
interface Target {
  readonly kill: () => Promise<void>
  /** Starts it again after that. Resolves when it is ready to go on. */
  readonly restart: () => Promise<void>
}

const oursName = 'fastify-raft'
const beforeName = 'before'
const etcdName = 'etcd'
// This file runs from build/bench.
const ourProgram = fileURLToPath(new URL('../../dist/src/cli/main.js', import.meta.url))

async function post (agent: Agent, url: string, body: object, signal: AbortSignal): Promise<string | null> {
  const { statusCode, body: answer } = await request(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
    dispatcher: agent,
    signal
  })
  const text = await answer.text()
  return statusCode < 300 ? null : `${statusCode} ${text.slice(0, 200)}`
}

async function startOurs (name: string, program: string, directory: string): Promise<Contender & OursOnly> {
  await mkdir(directory)
  const cluster = await LocalCluster.start({ program, dataDir: directory })
  const agent = new Agent()
  return {
    name,
    cluster,
    write: async (signal) =>
      await post(agent, `${cluster.gatewayUrl}/orders`, { id: randomUUID(), item: 'tea', quantity: 1 }, signal),
    target: async () => {
      const { id } = await cluster.waitForLeader()
      await delay(settleMs + Math.random() * spreadMs)
      return {
        kill: async () => { await cluster.kill(id) },
        restart: async () => { await cluster.restart(id) }
      }
    },
    stop: async () => {
      await agent.destroy()
      await cluster.stop()
    }
  }
}

interface OursOnly {
  readonly cluster: LocalCluster
}

async function startEtcd (directory: string): Promise<Contender> {
  const cluster = await EtcdCluster.start(directory)
  const agent = new Agent()
  const base64 = (text: string): string => Buffer.from(text).toString('base64')
  let leaderUrl = await cluster.leaderUrl()
  let number = 0
  return {
    name: etcdName,
    write: async (signal) => {
      const staying = cluster.urls.filter((url) => url !== leaderUrl)
      const write = { key: base64(randomUUID()), value: base64('tea') }
      return await post(agent, `${staying[number++ % staying.length]}/v3/kv/put`, write, signal)
    },
    target: async () => {
      const url = await cluster.leaderUrl()
      leaderUrl = url
      await delay(settleMs + Math.random() * spreadMs)
      return {
        kill: async () => { await cluster.kill(url) },
        restart: async () => {
          cluster.restart(url)
          await pollUntil('the etcd member to be back', recoveryMs, async () => await isHealthy(url) ? true : null)
        }
      }
    },
    stop: async () => {
      await agent.destroy()
      await cluster.stop()
    }
  }
}

async function isHealthy (url: string): Promise<boolean> {
  try {
    const response = await fetch(`${url}/health`, { signal: AbortSignal.timeout(1_000) })
    await response.arrayBuffer()
    return response.ok
  } catch {
    return false
  }
}

/** Milliseconds from the kill to the first success of a write that was sent afterwards. */
async function failOver ({ write, target }: Contender): Promise<number> {
  const load = new SteadyLoad(everyMs, write)
  try {
    await load.firstSuccess(performance.now(), recoveryMs)
    const { kill, restart } = await target()
    const killedAtMs = performance.now()
    const [{ endedAtMs }] = await Promise.all([load.firstSuccess(killedAtMs, recoveryMs), kill()])
    await load.stop()
    await restart()
    return endedAtMs - killedAtMs
  } finally {
    await load.stop()
  }
}

/** What writes saw of one handover of leadership. */
interface Handover {
  readonly failures: readonly string[]
  readonly longestMs: number
}

async function handOver ({ cluster }: OursOnly, load: SteadyLoad): Promise<Handover> {
  const leader = await cluster.waitForLeader()
  await delay(settleMs)
  const attempts: Attempt[] = []
  const sinceMs = performance.now()
  const stopWatching = load.watch((attempt) => { attempts.push(attempt) })
  const response = await fetch(`${leader.url}/_cluster/v1/leader/transfer`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: '{}'
  })
  if (!response.ok) throw new Error(`the handover was refused: ${response.status} ${await response.text()}`)
  await response.arrayBuffer()
  await load.firstSuccess(performance.now(), recoveryMs)
  // What was sent before and waits still counts.
  await delay(settleMs)
  stopWatching()
  const concerned = attempts.filter(({ endedAtMs }) => endedAtMs >= sinceMs)
  return {
    failures: concerned.flatMap(({ failure }) => failure === null ? [] : [failure]),
    longestMs: Math.max(...concerned.map(({ sentAtMs, endedAtMs }) => endedAtMs - sentAtMs))
  }
}

function print (line: object): void {
  process.stdout.write(`${JSON.stringify(line)}\n`)
}

function reportKills (name: string, outagesMs: readonly number[]): void {
  print({
    name: 'failover, SIGKILL of the leader to the next success',
    of: name,
    rounds: outagesMs.length,
    p50Ms: Math.round(median(outagesMs)),
    p99Ms: Math.round(quantile(outagesMs, 0.99)),
    all: outagesMs.map(Math.round)
  })
}

function reportRatios (outages: ReadonlyMap<string, readonly number[]>): void {
  const ours = outages.get(oursName) ?? []
  for (const [to, theirs] of outages) {
    if (to === oursName) continue
    const ratio = median(ours) / median(theirs)
    const isAimed = to === etcdName
    if (isAimed && ratio > mostOfEtcd) process.exitCode = 1
    print({
      name: `failover p50, ${oursName} to ${to}`,
      ratio: rounded(ratio, 2),
      ratioP99: rounded(quantile(ours, 0.99) / quantile(theirs, 0.99), 2),
      ...(isAimed ? { aim: mostOfEtcd, held: ratio <= mostOfEtcd } : {})
    })
  }
}

async function measureHandovers (contender: Contender & OursOnly): Promise<void> {
  const done: Handover[] = []
  const load = new SteadyLoad(everyMs, contender.write)
  try {
    await load.firstSuccess(performance.now(), recoveryMs)
    while (done.length < handovers) done.push(await handOver(contender, load))
  } finally {
    await load.stop()
  }
  const failures = done.flatMap((one) => one.failures)
  const longestMs = Math.max(...done.map((one) => one.longestMs))
  const held = failures.length === 0 && longestMs <= longestStallMs
  if (!held) process.exitCode = 1
  print({
    name: 'planned handover',
    of: contender.name,
    handovers: done.length,
    failed: failures.length,
    longestStallMs: Math.round(longestMs),
    aim: { failed: 0, longestStallMs },
    held,
    ...(failures.length === 0 ? {} : { failures: failures.slice(0, 3) })
  })
}

const directory = await mkdtemp(join(values.directory, 'raft-bench-failover-'))
const contenders: Contender[] = []
try {
  const version = await etcdVersion()
  print({ name: 'failover', etcd: version, rounds, handovers, writeEveryMs: everyMs })
  const ours = await startOurs(oursName, ourProgram, join(directory, 'ours'))
  contenders.push(ours)
  if (values.before !== undefined) {
    contenders.push(await startOurs(beforeName, values.before, join(directory, 'before')))
  }
  if (version === null) {
    print({
      name: `failover p50, ${oursName} to ${etcdName}`,
      skipped: 'there is no etcd on the path (Debian: apt-get install etcd-server)'
    })
  } else contenders.push(await startEtcd(join(directory, 'etcd')))
  const outages = new Map(contenders.map(({ name }) => [name, [] as number[]]))
  for (let round = 0; round < rounds; round++) {
    for (const contender of contenders) outages.get(contender.name)?.push(await failOver(contender))
  }
  for (const [name, measured] of outages) reportKills(name, measured)
  reportRatios(outages)
  if (handovers > 0) await measureHandovers(ours)
} finally {
  await Promise.all(contenders.map(async ({ stop }) => { await stop() }))
  await rm(directory, { recursive: true, force: true })
}
