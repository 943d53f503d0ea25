/**
 * What the hop from a follower to the leader costs: two nodes in processes of their own, on loopback, their routes
 * marked `forward: true`. In the same run, in turns, so that other work of the machine affects all: the same
 * application behind @fastify/reply-from, behind nginx, behind a sketch of nothing but `hijack` and undici's
 * `dispatch`, behind one that reads and writes sockets itself, called directly, with a secret, and behind another build
 * of ours.
 *
 * Each method and number of connections has a warm-up, and then rounds in which each contender has one turn. The order
 * changes from round to round. Ratios are taken within a round, and their median is printed: one line of JSON per
 * contender, and one per ratio, with the ratios of throughput, of the p50, and of processor time a request, of the
 * server that takes the load alone and of both. Exit code 1 says that a ratio is below its least.
 *
 * @fastify/reply-from is taken from the packages of this project, or from those of `--peers DIR`. It, nginx and wrk are
 * used when they are there; what is left out is said.
 *
 * With `--before DIR`, the build of another checkout takes part, such as that of the commit before.
 *
 * `node forward.js [--rounds 9] [--seconds 1] [--connections 1,32] [--methods GET,POST] [--peers DIR] [--before DIR]`
 */
import type { ChildProcess } from 'node:child_process'
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { getJson, pollUntil } from '../src/cli/local/polling.ts'
import { freePorts } from '../src/cli/local/ports.ts'
import { makeSecret } from '../src/raft/index.ts'
import type { ServerRole } from './forward-server.ts'
import { startNginx } from './nginx-proxy.ts'
import { cpuMicrosOf } from './process-cpu.ts'
import type { LoadRequest, ProxyLoad, ProxyTurn } from './proxy-load.ts'
import { chooseLoad } from './proxy-load.ts'
import { median, rounded } from './statistics.ts'

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '9' },
    seconds: { type: 'string', default: '1' },
    connections: { type: 'string', default: '1,32' },
    methods: { type: 'string', default: 'GET,POST' },
    peers: { type: 'string' },
    before: { type: 'string' }
  }
})
const rounds = Number(values.rounds)
const turnMs = Number(values.seconds) * 1_000
const connectionCounts = values.connections.split(',').map(Number)
if (![rounds, turnMs, ...connectionCounts].every((number) => number > 0)) {
  throw new RangeError('--rounds, --seconds and --connections take numbers above 0')
}

const startTimeoutMs = 20_000
const warmUpMs = 2_000
/** Load before the first turn: one connection alone takes far longer than a warm-up until all code is compiled. */
const firstWarmUp = { connections: 32, milliseconds: 4_000 }
const bodyBytes = 1_024
const allRequests: readonly LoadRequest[] = [
  { method: 'GET', path: '/hello', body: '' },
  { method: 'POST', path: '/orders', body: JSON.stringify({ name: 'n'.repeat(bodyBytes - '{"name":""}'.length) }) }
]
const requests = allRequests.filter(({ method }) => values.methods.split(',').includes(method))
// This file runs from build/bench.
const project = fileURLToPath(new URL('../..', import.meta.url))

const oursName = 'fastify-raft'

/** The least and the aim of our throughput as a multiple of another one's, by the number of connections. */
const goals = new Map([
  ['reply-from', new Map([[1, { least: 1, aim: 1.1 }], [32, { least: 1.3, aim: 1.5 }]])],
  ['sketch', new Map([[32, { least: 0.9, aim: 0.9 }]])]
])
/** Our p50 as a multiple of the direct call's at one connection, at most. */
const mostOfDirectP50 = 2.4

/** A server that takes the load. */
interface Contender {
  readonly name: string
  readonly url: string
  readonly pid: number
  /** Of the server that it passes requests on to; null when it serves them. */
  readonly nextPid: number | null
}

interface Turn extends ProxyTurn {
  /** Processor time a request in microseconds: of the server that took the load, and of the one behind it too. */
  readonly frontCpuMicros: number
  readonly cpuMicros: number
}

const started: Array<() => Promise<void>> = []

async function startServer (role: ServerRole, nextPid: number | null): Promise<Contender> {
  const child = fork(fileURLToPath(new URL('./forward-server.js', import.meta.url)), [JSON.stringify(role)])
  started.push(async () => { await ended(child) })
  return await new Promise((resolve, reject) => {
    child.once('message', (message) => {
      resolve({ name: role.kind, url: (message as { readonly url: string }).url, pid: child.pid ?? 0, nextPid })
    })
    child.once('exit', (code) => { reject(new Error(`a server ended with code ${code} before it listened`)) })
    child.once('error', reject)
  })
}

async function ended (child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exited = once(child, 'exit')
  child.disconnect()
  await exited
}

/** Two nodes of a build: the one that does not lead takes the load. */
async function startFollower (name: string, checkout: string, secret?: string): Promise<Contender> {
  const module = resolve(checkout, 'dist/src/plugin/index.js')
  const members = (await freePorts(2)).map((port, at) => ({ id: `n${at + 1}`, port, url: `http://127.0.0.1:${port}` }))
  const roles = members.map(({ id, port }): ServerRole => ({
    kind: 'member',
    module,
    id,
    port,
    members: members.map(({ id, url }) => ({ id, url })),
    ...(secret === undefined ? {} : { secret })
  }))
  const nodes = await Promise.all(roles.map((role) => startServer(role, null)))
  const leader = await pollUntil('a leader that both know', startTimeoutMs, async () => {
    const known = await Promise.all(members.map(({ url }) =>
      getJson<{ readonly id: string }>(`${url}/_cluster/v1/leader`, 1_000)))
    const [first, second] = known
    return first !== undefined && first !== null && first.id === second?.id ? first.id : null
  })
  const follower = nodes[members.findIndex(({ id }) => id !== leader)]
  const leading = nodes[members.findIndex(({ id }) => id === leader)]
  if (follower === undefined || leading === undefined) throw new Error('there is no follower')
  return { ...follower, name, nextPid: leading.pid }
}

function hasReplyFrom (peers: string): boolean {
  try {
    createRequire(join(peers, 'package.json')).resolve('@fastify/reply-from')
    return true
  } catch {
    return false
  }
}

async function startAll (directory: string): Promise<readonly Contender[]> {
  const application = await startServer({ kind: 'application' }, null)
  const { url: upstream, pid: nextPid } = application
  const contenders = [{ ...application, name: 'direct' }, await startFollower(oursName, project)]
  contenders.push(await startFollower('secret', project, makeSecret()))
  if (values.before !== undefined) contenders.push(await startFollower('before', values.before))
  contenders.push(await startServer({ kind: 'sketch', upstream }, nextPid))
  contenders.push(await startServer({ kind: 'wire', upstream }, nextPid))
  const peers = resolve(values.peers ?? project)
  if (hasReplyFrom(peers)) contenders.push(await startServer({ kind: 'reply-from', peers, upstream }, nextPid))
  else print({ name: 'reply-from', skipped: 'it is not installed here: name a directory that has it with --peers' })
  const nginx = await startNginx(directory, upstream)
  if (nginx === null) print({ name: 'nginx', skipped: 'it is not on the path (Debian: apt-get install nginx)' })
  else {
    started.push(nginx.stop)
    contenders.push({ name: 'nginx', ...nginx, nextPid })
  }
  return contenders
}

async function takeTurn (load: ProxyLoad, { url, pid, nextPid }: Contender, request: LoadRequest, connections: number) {
  const used = async (): Promise<[number, number]> => [
    await cpuMicrosOf([pid]) ?? Number.NaN,
    nextPid === null ? 0 : await cpuMicrosOf([nextPid]) ?? Number.NaN
  ]
  const [frontBefore, nextBefore] = await used()
  const turn = await load(url, request, connections, turnMs)
  const [front, next] = await used()
  const frontCpuMicros = (front - frontBefore) / turn.requests
  return { ...turn, frontCpuMicros, cpuMicros: frontCpuMicros + (next - nextBefore) / turn.requests }
}

function print (line: object): void {
  process.stdout.write(`${JSON.stringify(line)}\n`)
}

/** Each contender's turns, one a round. */
type Turns = ReadonlyMap<string, Turn[]>

function report (method: string, connections: number, turns: Turns): boolean {
  for (const [name, taken] of turns) {
    print({
      name,
      method,
      connections,
      medianRequestsPerSecond: Math.round(median(taken.map((turn) => turn.requestsPerSecond))),
      medianP50Ms: rounded(median(taken.map((turn) => turn.p50Ms)), 3),
      frontCpuMicros: rounded(median(taken.map((turn) => turn.frontCpuMicros)), 1),
      cpuMicros: rounded(median(taken.map((turn) => turn.cpuMicros)), 1),
      rounds: taken.map((turn) => Math.round(turn.requestsPerSecond))
    })
  }
  const ours = turns.get(oursName) ?? []
  let held = true
  for (const [name, others] of turns) {
    if (name === oursName) continue
    const of = (figure: (turn: Turn) => number): number =>
      median(ours.map((turn, round) => figure(turn) / figure(others[round] ?? turn)))
    const throughput = of((turn) => turn.requestsPerSecond)
    const p50 = of((turn) => turn.p50Ms)
    const goal = goals.get(name)?.get(connections)
    const isHeld = throughput >= (goal?.least ?? 0) &&
      (name !== 'direct' || connections !== 1 || p50 <= mostOfDirectP50)
    print({
      name: `${oursName} to ${name}`,
      method,
      connections,
      throughput: rounded(throughput, 3),
      p50: rounded(p50, 3),
      frontCpu: rounded(of((turn) => turn.frontCpuMicros), 3),
      cpu: rounded(of((turn) => turn.cpuMicros), 3),
      ...(goal === undefined ? {} : goal),
      ...(name === 'direct' && connections === 1 ? { mostP50: mostOfDirectP50 } : {}),
      held: isHeld
    })
    held &&= isHeld
  }
  return held
}

const directory = await mkdtemp(join(tmpdir(), 'raft-bench-forward-'))
try {
  const { name: client, load } = await chooseLoad(directory)
  print({ name: 'forward', client, rounds, seconds: turnMs / 1_000, bodyBytes })
  const contenders = await startAll(directory)
  for (const request of requests) {
    for (const { url } of contenders) await load(url, request, firstWarmUp.connections, firstWarmUp.milliseconds)
  }
  for (const connections of connectionCounts.toSorted((a, b) => b - a)) {
    for (const request of requests) {
      for (const { url } of contenders) await load(url, request, connections, warmUpMs)
      const turns = new Map(contenders.map(({ name }) => [name, [] as Turn[]]))
      for (let round = 0; round < rounds; round++) {
        const first = round % contenders.length
        for (const contender of [...contenders.slice(first), ...contenders.slice(0, first)]) {
          turns.get(contender.name)?.push(await takeTurn(load, contender, request, connections))
        }
      }
      if (!report(request.method, connections, turns)) process.exitCode = 1
    }
  }
} finally {
  await Promise.all(started.map((stop) => stop()))
  await rm(directory, { recursive: true, force: true })
}
