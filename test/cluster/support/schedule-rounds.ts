import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { getJson, pollUntil } from '../../../src/cli/local/polling.ts'
import { type AppNode, createNodes, killNodes, leaderOf, type NodeFault, post } from './app-nodes.ts'
import { judgeLedger, type LedgerVerdict, parseLedger } from './schedule-ledger.ts'

const recoveryMs = 60_000
/** How far apart the wall clocks of nodes are at most, in seconds. Each start of a process draws another one. */
const clockShiftsS = [0, 0, 90, -90]

/** Options of a run. */
export interface ScheduleRunOptions {
  /** The compiled `test/cluster/tools/schedule-app.ts`. */
  readonly program: string
  readonly nodes: number
  readonly forMs: number
  readonly kinds: readonly NodeFault[]
  /** A number in [0, 1). */
  readonly random: () => number
  /** Whether processes have clocks apart; needs libfaketime. */
  readonly movesClocks: boolean
  readonly onFault?: (kind: NodeFault, node: string) => void
}

/** What came of it. */
export interface ScheduleRunResult {
  readonly faults: Readonly<Record<NodeFault, number>>
  readonly leaders: number
  readonly once: LedgerVerdict
  readonly least: LedgerVerdict
}

interface Status {
  readonly lastSlot: string | null
  readonly running: readonly unknown[]
  readonly queued: number
  readonly paused: object | null
  readonly nextAt: string | null
}

/** The library that gives a process another wall clock; null where it is not installed. */
export function fakeTimeLibrary (): string | null {
  const folders = ['/usr/lib', '/usr/lib64', '/usr/local/lib']
  const nested = folders.filter((folder) => existsSync(folder))
    .flatMap((folder) => [folder, ...readdirSync(folder).map((name) => join(folder, name))])
  const paths = nested.map((folder) => join(folder, 'faketime', 'libfaketimeMT.so.1'))
  return paths.find((path) => existsSync(path)) ?? null
}

/** Runs two schedules on real processes while faults happen, and judges the ledger that their runs have written. */
export async function runSchedules (options: ScheduleRunOptions): Promise<ScheduleRunResult> {
  const directory = await mkdtemp(join(tmpdir(), 'fastify-raft-schedules-'))
  const ledger = join(directory, 'ledger')
  const more = (): readonly string[] => ['--ledger', ledger]
  const nodes = await createNodes({ program: options.program, count: options.nodes, directory, more })
  const faults: Record<NodeFault, number> = { kill: 0, stop: 0, transfer: 0, restart: 0 }
  const leaders = new Set<string>()
  try {
    for (const node of nodes) startNode(node, options)
    await leaderOf(nodes)
    const deadlineMs = performance.now() + options.forMs
    while (performance.now() < deadlineMs) {
      await delay(500 + options.random() * 2_500)
      const leader = await leaderOf(nodes)
      leaders.add(`${leader.node.id} ${leader.term}`)
      const kind = options.kinds[Math.floor(options.random() * options.kinds.length)] ?? 'kill'
      // Mostly the leader: it is the one that runs.
      const anyone = nodes[Math.floor(options.random() * nodes.length)] ?? leader.node
      const node = kind === 'transfer' || options.random() < 0.7 ? leader.node : anyone
      options.onFault?.(kind, node.id)
      faults[kind]++
      await doFault(kind, node, options)
    }
    const last = { once: await settled(nodes, 'once'), least: await settled(nodes, 'least') }
    const lines = parseLedger(readFileSync(ledger, 'utf8'))
    return {
      faults,
      leaders: leaders.size,
      once: judgeLedger(lines, 'once', last.once),
      least: judgeLedger(lines, 'least', last.least)
    }
  } finally {
    await killNodes(nodes)
    await rm(directory, { recursive: true, force: true })
  }
}

/** The environment is that of this process for the moment of the start. */
function startNode ({ child }: AppNode, { movesClocks, random }: ScheduleRunOptions): void {
  const library = movesClocks ? fakeTimeLibrary() : null
  const shiftS = clockShiftsS[Math.floor(random() * clockShiftsS.length)] ?? 0
  const faked = library === null || shiftS === 0
    ? {}
    : { LD_PRELOAD: library, FAKETIME: `${shiftS > 0 ? '+' : ''}${shiftS}`, FAKETIME_DONT_FAKE_MONOTONIC: '1' }
  Object.assign(process.env, faked)
  try {
    child.start()
  } finally {
    for (const name of Object.keys(faked)) Reflect.deleteProperty(process.env, name)
  }
}

async function doFault (kind: NodeFault, node: AppNode, options: ScheduleRunOptions): Promise<void> {
  switch (kind) {
    case 'kill':
      await node.child.kill('SIGKILL')
      await delay(options.random() * 2_000)
      startNode(node, options)
      break
    case 'stop':
      node.child.signal('SIGSTOP')
      await delay(300 + options.random() * 4_000)
      node.child.signal('SIGCONT')
      break
    case 'transfer':
      await post(`${node.url}/_cluster/v1/leader/transfer`)
      break
    case 'restart':
      await node.child.stop(15_000)
      startNode(node, options)
      break
  }
}

/** Pauses a schedule, waits for the end of its runs, and resolves with the last slot that was to run. */
async function settled (nodes: readonly AppNode[], name: string): Promise<string> {
  return await pollUntil(`the runs of ${name} to end`, recoveryMs, async () => {
    const { node } = await leaderOf(nodes)
    const status = await getJson<Status>(`${node.url}/schedules/${name}`, 2_000)
    if (status === null) return null
    if (status.paused === null) {
      // What a leader with a clock ahead has passed is all there is to come, and nothing else is missing.
      await post(`${node.url}/schedules/${name}/pause`)
      return null
    }
    return status.running.length === 0 && status.queued === 0 ? status.lastSlot : null
  })
}
