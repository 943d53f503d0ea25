import { existsSync, readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { getJson, pollUntil } from '../../../src/cli/local/polling.ts'
import { type AppNode, createNodes, killNodes, leaderOf, type NodeFault, post } from './app-nodes.ts'
import { type AcceptedWrite, CounterFold, type CounterLine } from './appended-counter.ts'

const recoveryMs = 60_000

/** Counters under the lock, in the map and in a file, with and without fence; and one without the lock. */
export const counterNames = ['map', 'file', 'map-unfenced', 'file-unfenced', 'file-unlocked'] as const
export type CounterName = (typeof counterNames)[number]

/** What became of a write of a counter; without a counter: of a turn that did not come to its writes. */
export interface IncrementNote {
  readonly counter: CounterName | null
  /** Of this write alone. */
  readonly id: string
  readonly token: string
  /** `yes` and `no`: whether the resource let it in; else the code of an error. */
  readonly outcome: string
}

/** Options of a run. */
export interface CounterRunOptions {
  /** The compiled `test/cluster/tools/counter-app.ts`. */
  readonly program: string
  readonly nodes: number
  readonly forMs: number
  /** A number in [0, 1). */
  readonly random: () => number
  readonly onFault?: (kind: NodeFault, node: string) => void
}

/** What a counter says at the end. */
export interface CounterVerdict {
  /** Writes that its resource has let in. */
  readonly accepted: number
  /** Its value. Exact: as many as were accepted. */
  readonly value: number
  /** Writes that made the number of an earlier one once more: updates that were lost. */
  readonly lost: number
  /** Writes that were told to be accepted, and are not there. */
  readonly missing: readonly string[]
  /** Writes that the fence has refused. */
  readonly refused: number
}

/** What came of a run. */
export interface CounterRunResult {
  readonly faults: Readonly<Record<NodeFault, number>>
  readonly leaders: number
  readonly counters: Readonly<Record<CounterName, CounterVerdict>>
  /** Turns that did not come to their writes, and writes without a known outcome, by code. */
  readonly codes: Readonly<Record<string, number>>
}

const kinds: readonly NodeFault[] = ['stop', 'kill', 'transfer', 'restart']

/** Counts on real processes while faults happen, half of them to a node that has read and not yet written. */
export async function runCounters (options: CounterRunOptions): Promise<CounterRunResult> {
  const directory = await mkdtemp(join(tmpdir(), 'fastify-raft-counters-'))
  const more = (): readonly string[] => ['--counters', directory]
  const nodes = await createNodes({ program: options.program, count: options.nodes, directory, more })
  const faults: Record<NodeFault, number> = { kill: 0, stop: 0, transfer: 0, restart: 0 }
  const leaders = new Set<string>()
  try {
    for (const { child } of nodes) child.start()
    await leaderOf(nodes)
    const deadlineMs = performance.now() + options.forMs
    for (let round = 0; performance.now() < deadlineMs; round++) {
      await delay(300 + options.random() * 700)
      const leader = await leaderOf(nodes)
      leaders.add(`${leader.node.id} ${leader.term}`)
      const kind = kinds[round % kinds.length] ?? 'stop'
      const anyone = nodes[Math.floor(options.random() * nodes.length)] ?? leader.node
      const node = options.random() < 0.3 ? leader.node : anyone
      options.onFault?.(kind, node.id)
      faults[kind]++
      await doFault(kind, node, nodes, options.random)
    }
    await leaderOf(nodes)
    const maps = await mapWrites(nodes)
    return { faults, leaders: leaders.size, ...judge(directory, maps) }
  } catch (error) {
    for (const { child } of nodes) process.stderr.write(child.logTail())
    throw error
  } finally {
    await killNodes(nodes)
    await rm(directory, { recursive: true, force: true })
  }
}

async function doFault (
  kind: NodeFault,
  node: AppNode,
  nodes: readonly AppNode[],
  random: () => number
): Promise<void> {
  switch (kind) {
    case 'stop':
      // Between its read and its write, until another one holds the lock.
      await post(`${node.url}/hold`, 20_000)
      node.child.signal('SIGSTOP')
      await untilOvertaken(nodes.filter(({ id }) => id !== node.id), node.id)
      await delay(random() * 500)
      node.child.signal('SIGCONT')
      break
    case 'kill':
      await post(`${node.url}/hold`, 20_000)
      await node.child.kill('SIGKILL')
      await delay(random() * 2_000)
      node.child.start()
      break
    case 'transfer':
      await post(`${node.url}/_cluster/v1/leader/transfer`)
      break
    case 'restart':
      await node.child.stop(15_000)
      node.child.start()
      break
  }
}

/** Waits until another node than this one has the lock. */
async function untilOvertaken (others: readonly AppNode[], stopped: string): Promise<void> {
  await pollUntil('another holder of the lock', recoveryMs, async () => {
    const [asked] = others
    const lock = await getJson<{ readonly owner: string }>(`${asked?.url}/_cluster/v1/locks/counters`, 2_000)
    return lock !== null && lock.owner !== stopped ? true : null
  })
}

/** What the maps have taken, once nobody counts any more. */
async function mapWrites (nodes: readonly AppNode[]): Promise<ReadonlyMap<CounterName, readonly AcceptedWrite[]>> {
  const [first] = nodes
  await Promise.all(nodes.map(async ({ url }) => { await post(`${url}/end`, 30_000) }))
  const names = counterNames.filter((name) => name.startsWith('map'))
  return new Map(await Promise.all(names.map(async (name) => {
    const writes = await pollUntil(`the map ${name}`, recoveryMs, async () =>
      await getJson<readonly AcceptedWrite[]>(`${first?.url}/maps/${name}`, 10_000))
    return [name, writes] as const
  })))
}

function judge (
  directory: string,
  maps: ReadonlyMap<CounterName, readonly AcceptedWrite[]>
): Pick<CounterRunResult, 'counters' | 'codes'> {
  const notes = linesOf<IncrementNote>(join(directory, 'notes'))
  const verdict = (name: CounterName): CounterVerdict => judgeCounter(
    maps.get(name) ?? fileWrites(join(directory, name), name === 'file'),
    notes.filter(({ counter }) => counter === name)
  )
  const codes: Record<string, number> = {}
  for (const { outcome } of notes) {
    if (outcome.startsWith('RAFT_')) codes[outcome] = (codes[outcome] ?? 0) + 1
  }
  const counters = Object.fromEntries(counterNames.map((name) => [name, verdict(name)])) as CounterRunResult['counters']
  return { counters, codes }
}

/** Judges one counter by what its resource has let in and what its writers were told. Pure. */
export function judgeCounter (writes: readonly AcceptedWrite[], notes: readonly IncrementNote[]): CounterVerdict {
  const there = new Set(writes.map(({ id }) => id))
  return {
    accepted: writes.length,
    value: Math.max(0, ...writes.map(({ value }) => value)),
    lost: writes.length - new Set(writes.map(({ value }) => value)).size,
    missing: notes.filter(({ id, outcome }) => outcome === 'yes' && !there.has(id)).map(({ id }) => id),
    refused: notes.filter(({ outcome }) => outcome === 'no' || outcome === 'RAFT_FENCED').length
  }
}

function fileWrites (path: string, checksTokens: boolean): readonly AcceptedWrite[] {
  const fold = new CounterFold(checksTokens)
  for (const line of linesOf<CounterLine>(path)) fold.take(line)
  return fold.accepted
}

function linesOf<T> (path: string): readonly T[] {
  if (!existsSync(path)) return []
  return readFileSync(path, 'utf8').split('\n').filter((line) => line !== '').map((line) => JSON.parse(line) as T)
}
