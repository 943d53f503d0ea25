/**
 * What it costs that members prove themselves to each other: three nodes that share a secret against three that share
 * none, in processes of their own on loopback, in the same run. Writes through HTTP on the leader, from one client and
 * from many, and a GET and a POST of 1 KiB that a follower forwards.
 *
 * Each measure has a warm-up, and then rounds in which each cluster has one turn; their order changes from round to
 * round. Ratios are taken within a round, and their median is printed: one line of JSON for each measure. Exit code 1
 * says that a goal was missed.
 *
 * `node trust.js [--rounds 9] [--seconds 1] [--clients 1,64] [--connections 32]`
 */
import { writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { makeSecret } from '../src/raft/trust/secret.ts'
import { NotesCluster } from '../test/cluster/support/notes-cluster.ts'
import { cpuMicrosOf } from './process-cpu.ts'
import type { LoadRequest } from './proxy-load.ts'
import { chooseLoad } from './proxy-load.ts'
import { median, rounded } from './statistics.ts'
import { requestBytes, writeFor } from './writes-load.ts'

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '9' },
    seconds: { type: 'string', default: '1' },
    clients: { type: 'string', default: '1,64' },
    connections: { type: 'string', default: '32' }
  },
  strict: true
})
const rounds = Number(values.rounds)
const turnMs = Number(values.seconds) * 1_000
const clientCounts = values.clients.split(',').map(Number)
const connections = Number(values.connections)
if (![rounds, turnMs, connections, ...clientCounts].every((number) => number > 0)) {
  throw new RangeError('--rounds, --seconds, --clients and --connections take numbers above 0')
}

const warmUpMs = 2_000
const keyCount = 1_000
const valueBytes = 256
const bodyBytes = 1_024
/** Least share of the rate without proofs, by the number of clients that write; none where nothing is promised. */
const writeGoals = new Map([[64, 0.9]])
const forwardGoal = 0.95

/** What is compared. */
interface Measure {
  readonly name: string
  readonly goal: number | null
  /** Resolves with the rate at which requests were answered. */
  readonly turn: (cluster: NotesCluster, milliseconds: number) => Promise<{ readonly perSecond: number }>
}

interface Turn {
  readonly perSecond: number
  readonly cpuMicros: number
}

// This file runs from build/bench.
const program = fileURLToPath(new URL('../test/cluster/tools/notes-app.js', import.meta.url))

async function startCluster (secret: string | null): Promise<NotesCluster> {
  return await NotesCluster.start({
    program,
    options: (id, directory) => {
      if (secret === null) return { debugHashes: false }
      const secretFile = join(directory, `${id}.secret`)
      writeFileSync(secretFile, secret, { mode: 0o600 })
      return { debugHashes: false, secretFile }
    }
  })
}

function writes (clients: number): Measure {
  const body = JSON.stringify({ value: 'v'.repeat(valueBytes) })
  return {
    name: `writes, ${clients} clients`,
    goal: writeGoals.get(clients) ?? null,
    turn: async (cluster, milliseconds) => {
      const { url } = await cluster.leader()
      const requests = Array.from({ length: keyCount }, (_, key) =>
        requestBytes('PUT', new URL(`/_cluster/v1/kv/bench-${key}`, url), body))
      const load = await writeFor({ url, requests }, clients, milliseconds)
      return { perSecond: 1_000 * load.writes / load.elapsedMs }
    }
  }
}

function forwarding (request: LoadRequest, load: Awaited<ReturnType<typeof chooseLoad>>['load']): Measure {
  return {
    name: `forwarding, ${request.method}`,
    goal: forwardGoal,
    turn: async (cluster, milliseconds) => {
      const [follower] = await cluster.followers()
      const { requestsPerSecond } = await load(follower?.url ?? '', request, connections, milliseconds)
      return { perSecond: requestsPerSecond }
    }
  }
}

async function takeTurn (measure: Measure, cluster: NotesCluster): Promise<Turn> {
  const pids = cluster.copies.map(({ child }) => child.pid ?? 0)
  const before = await cpuMicrosOf(pids)
  const { perSecond } = await measure.turn(cluster, turnMs)
  const after = await cpuMicrosOf(pids)
  // JSON has no NaN: null when the system does not report it.
  const used = before === null || after === null ? Number.NaN : after - before
  return { perSecond, cpuMicros: used / (perSecond * turnMs / 1_000) }
}

/** Prints a measure. Returns whether its goal, if any, is met. */
async function compare (measure: Measure, open: NotesCluster, proven: NotesCluster): Promise<boolean> {
  for (const cluster of [open, proven]) await measure.turn(cluster, warmUpMs)
  const taken: Array<{ readonly open: Turn, readonly proven: Turn }> = []
  for (let round = 0; round < rounds; round++) {
    const first = await takeTurn(measure, round % 2 === 0 ? open : proven)
    const second = await takeTurn(measure, round % 2 === 0 ? proven : open)
    taken.push(round % 2 === 0 ? { open: first, proven: second } : { open: second, proven: first })
  }
  const ratio = median(taken.map((round) => round.proven.perSecond / round.open.perSecond))
  const { name, goal } = measure
  process.stdout.write(`${JSON.stringify({
    name,
    ratio: rounded(ratio, 3),
    ...(goal === null ? {} : { goal, held: ratio >= goal }),
    ratioOfCpu: rounded(median(taken.map((round) => round.proven.cpuMicros / round.open.cpuMicros)), 3),
    openPerSecond: Math.round(median(taken.map(({ open: { perSecond } }) => perSecond))),
    provenPerSecond: Math.round(median(taken.map(({ proven: { perSecond } }) => perSecond))),
    rounds: taken.map((round) => rounded(round.proven.perSecond / round.open.perSecond, 2))
  })}\n`)
  return goal === null || ratio >= goal
}

const directory = await mkdtemp(join(tmpdir(), 'raft-bench-trust-'))
const clusters: NotesCluster[] = []
try {
  const { load } = await chooseLoad(directory)
  const text = 'n'.repeat(bodyBytes - '{"text":""}'.length)
  const measures = [
    ...clientCounts.map(writes),
    forwarding({ method: 'GET', path: '/hello', body: '' }, load),
    forwarding({ method: 'POST', path: '/hello', body: JSON.stringify({ text }) }, load)
  ]
  const open = await startCluster(null)
  clusters.push(open)
  const proven = await startCluster(makeSecret())
  clusters.push(proven)
  for (const measure of measures) if (!await compare(measure, open, proven)) process.exitCode = 1
} finally {
  await Promise.all(clusters.map(async (cluster) => { await cluster.stop() }))
  await rm(directory, { recursive: true, force: true })
}
