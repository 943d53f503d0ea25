/**
 * What a node costs an application that does nothing with it: the time and the memory of the import, the memory of a
 * running node over that of the bare application, and the processor time of three nodes without a request.
 *
 * In each round, in the same run: processes that import the plugin behind Fastify, one bare application, and a cluster
 * of three applications with a secret and a directory each. Medians over the rounds are printed, one line of JSON for
 * each result, with the goal beside it. Exit code 1 says that a goal was missed.
 *
 * With `--before DIR`, the build of another checkout takes part, such as that of the commit before.
 *
 * `node idle.js [--rounds 5] [--imports 5] [--settle-seconds 5] [--idle-seconds 10] [--before DIR]`
 */
import type { ChildProcess } from 'node:child_process'
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { getJson, pollUntil } from '../src/cli/local/polling.ts'
import { freePorts } from '../src/cli/local/ports.ts'
import { makeSecret } from '../src/raft/index.ts'
import type { IdleReady, IdleRole } from './idle-server.ts'
import { cpuMicrosOf } from './process-cpu.ts'
import { median, rounded } from './statistics.ts'

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    imports: { type: 'string', default: '5' },
    'settle-seconds': { type: 'string', default: '5' },
    'idle-seconds': { type: 'string', default: '10' },
    before: { type: 'string' }
  }
})
const rounds = Number(values.rounds)
const importsPerRound = Number(values.imports)
const settleMs = Number(values['settle-seconds']) * 1_000
const idleMs = Number(values['idle-seconds']) * 1_000
if (![rounds, importsPerRound, settleMs, idleMs].every((number) => number > 0)) {
  throw new RangeError('--rounds, --imports, --settle-seconds and --idle-seconds take numbers above 0')
}

/** At most so much. */
const goals = { importMs: 150, memoryBytes: 25 * 1_048_576, processorShare: 0.01 } as const
const startTimeoutMs = 20_000
const nodesPerCluster = 3
// This file runs from build/bench.
const project = fileURLToPath(new URL('../..', import.meta.url))

/** What was measured of a build, in all rounds. */
interface Figures {
  readonly name: string
  readonly module: string
  readonly importMs: number[]
  readonly importBytes: number[]
  /** Of a node over that of the bare application of its round. */
  readonly memoryBytes: number[]
  /** Of one core, of one node. */
  readonly processorShares: number[]
}

interface Process {
  readonly child: ChildProcess
  readonly ready: IdleReady
}

const builds = [
  figuresOf('fastify-raft', project),
  ...(values.before === undefined ? [] : [figuresOf('before', resolve(values.before))])
]
const bareBytes: number[] = []
for (let round = 0; round < rounds; round++) await measure(round)
print({ name: 'bare application', memoryMiB: mebibytes(median(bareBytes)) })
const areHeld = builds.map(report)
process.exitCode = areHeld[0] === true ? 0 : 1

function figuresOf (name: string, checkout: string): Figures {
  const module = join(checkout, 'dist/src/plugin/index.js')
  return { name, module, importMs: [], importBytes: [], memoryBytes: [], processorShares: [] }
}

async function measure (round: number): Promise<void> {
  const inTurn = round % 2 === 0 ? builds : builds.toReversed()
  for (let count = 0; count < importsPerRound; count++) {
    for (const build of inTurn) {
      const { child, ready } = await start({ kind: 'import', module: build.module })
      await ended(child)
      build.importMs.push(ready.importMs)
      build.importBytes.push(ready.importBytes)
    }
  }
  const bare = await start({ kind: 'bare' })
  for (const build of inTurn) await measureCluster(build, bare)
  bareBytes.push(await rssBytesOf(bare))
  await ended(bare.child)
}

async function measureCluster (build: Figures, bare: Process): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'fastify-raft-idle-'))
  const nodes = await startCluster(build.module, directory)
  try {
    await delay(settleMs)
    const pids = nodes.map(({ child }) => child.pid ?? 0)
    const before = await cpuMicrosOf(pids)
    const sinceMs = performance.now()
    await delay(idleMs)
    const after = await cpuMicrosOf(pids)
    const elapsedMs = performance.now() - sinceMs
    if (before !== null && after !== null) {
      build.processorShares.push((after - before) / 1_000 / elapsedMs / nodes.length)
    }
    const bareRss = await rssBytesOf(bare)
    for (const node of nodes) build.memoryBytes.push((await rssBytesOf(node)) - bareRss)
  } finally {
    await Promise.all(nodes.map(async ({ child }) => { await ended(child) }))
    await rm(directory, { recursive: true })
  }
}

async function startCluster (module: string, directory: string): Promise<Process[]> {
  const secret = makeSecret()
  const ports = await freePorts(nodesPerCluster)
  const members = ports.map((port, at) => ({ id: `n${at + 1}`, url: `http://127.0.0.1:${port}` }))
  const nodes = await Promise.all(members.map(({ id }, at) =>
    start({ kind: 'node', module, id, port: ports[at] ?? 0, members, dataDir: join(directory, id), secret })))
  await pollUntil('a leader that all know', startTimeoutMs, async () => {
    const found = await Promise.all(members.map(({ url }) =>
      getJson<{ readonly status: string }>(`${url}/_cluster/v1/readyz`, 1_000)))
    return found.every((ready) => ready?.status === 'ok') ? true : null
  })
  return nodes
}

async function start (role: IdleRole): Promise<Process> {
  const child = fork(fileURLToPath(new URL('./idle-server.js', import.meta.url)), [JSON.stringify(role)])
  const ready = await new Promise<IdleReady>((resolve, reject) => {
    child.once('message', (message) => { resolve(message as IdleReady) })
    child.once('exit', (code) => { reject(new Error(`a process ended with code ${code} before it was ready`)) })
    child.once('error', reject)
  })
  return { child, ready }
}

async function ended (child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exited = once(child, 'exit')
  child.disconnect()
  await exited
}

async function rssBytesOf ({ child }: Process): Promise<number> {
  const answer = once(child, 'message')
  child.send('memory')
  const [{ rssBytes }] = await answer as [{ readonly rssBytes: number }]
  return rssBytes
}

/** Prints the results of a build; whether it holds all goals. */
function report ({ name, importMs, importBytes, memoryBytes, processorShares }: Figures): boolean {
  const results = [
    { name: `${name}: import, ms`, value: rounded(median(importMs), 0), goal: goals.importMs },
    { name: `${name}: import, MiB`, value: mebibytes(median(importBytes)) },
    {
      name: `${name}: node over the bare application, MiB`,
      value: mebibytes(median(memoryBytes)),
      goal: mebibytes(goals.memoryBytes),
      all: memoryBytes.map(mebibytes)
    },
    ...(processorShares.length === 0
      ? []
      : [{
          name: `${name}: idle node, % of a core`,
          value: rounded(100 * median(processorShares), 2),
          goal: 100 * goals.processorShare,
          all: processorShares.map((share) => rounded(100 * share, 2))
        }])
  ]
  const judged = results.map((result) => {
    if (result.goal === undefined) return result
    return { ...result, held: result.value <= result.goal }
  })
  judged.forEach(print)
  if (processorShares.length === 0) print({ name: `${name}: idle node`, skipped: 'this system does not tell' })
  return judged.every((result) => !('held' in result) || result.held)
}

function mebibytes (bytes: number): number {
  return rounded(bytes / 1_048_576, 1)
}

function print (line: object): void {
  process.stdout.write(`${JSON.stringify(line)}\n`)
}
