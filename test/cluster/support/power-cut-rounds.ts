import { isDeepStrictEqual } from 'node:util'
import type { RecoveredState } from '../../../src/raft/index.ts'
import { KillClient } from './kill-client.ts'
import { differences, doubledWrites, lostWrites, settledEntries, untilWritten } from './kill-rounds.ts'
import { contradictionsIn } from './leaderships.ts'
import { PoweredCluster } from './powered-cluster.ts'

/** When the power is cut: within a call of a disk, right after an answer to a client, or at any time. */
type Moment = 'inCall' | 'answered' | 'anyTime'

/** The result of a run of power cuts. */
export interface PowerCutResult {
  readonly rounds: number
  readonly cuts: Readonly<Record<Moment, number>>
  readonly acknowledged: number
  readonly unknown: number
  readonly refused: number
  readonly terms: number
  /** Restarts of a node that found a snapshot below its log. */
  readonly fromSnapshot: number
  /** Acknowledged writes that are missing or changed. */
  readonly lost: readonly string[]
  /** Writes that were applied twice or came from nowhere. */
  readonly doubled: readonly string[]
  /** Terms with two leaders, and tokens that did not rise. */
  readonly leaders: readonly string[]
  /** Logs that contradict each other after a restart, and states that differ at the end. */
  readonly diverged: readonly string[]
  /** What nodes had to complain of while their power was on. */
  readonly failures: readonly string[]
  readonly longestOutageMs: number
  readonly elapsedMs: number
}

/** Options of a run of power cuts. */
export interface PowerCutOptions {
  readonly rounds: number
  /** A number in [0, 1): decides the moments, and what the disks keep. */
  readonly random: () => number
  readonly onRound?: (round: number) => void
}

const clients = 4
const longestLoadMs = 800
const mostCalls = 30
const mostAnswers = 8

/**
 * Cuts the power of three nodes at one moment, again and again, while clients write. After each cut the nodes have to
 * start, to agree in their logs, to elect a leader and to go on; at the end everything that was acknowledged has to be
 * there. Rejects when the cluster does not go on in time.
 */
export async function runPowerCuts ({ rounds, random, onRound = () => {} }: PowerCutOptions): Promise<PowerCutResult> {
  const startedMs = performance.now()
  const cluster = await PoweredCluster.start(random)
  const urls = cluster.nodes.map(({ url }) => url)
  const writers = Array.from({ length: clients }, (_, number) => new KillClient(`c${number + 1}`, urls, random))
  const cuts: Record<Moment, number> = { inCall: 0, answered: 0, anyTime: 0 }
  const diverged: string[] = []
  let fromSnapshot = 0
  let longestOutageMs = 0
  try {
    await untilWritten(writers)
    for (let round = 1; round <= rounds; round++) {
      cuts[await cutOnce(cluster, writers, random)]++
      const cutMs = performance.now()
      await cluster.powerOn()
      const recovered = cluster.recovered()
      diverged.push(...contradictingLogs(recovered).map((found) => `round ${round}: ${found}`))
      fromSnapshot += [...recovered.values()].filter(({ base }) => base.index > 0).length
      await untilWritten(writers)
      longestOutageMs = Math.max(longestOutageMs, performance.now() - cutMs)
      onRound(round)
    }
    await Promise.all(writers.map(async (writer) => { await writer.stop() }))
    const stored = await settledEntries(cluster)
    return {
      rounds,
      cuts,
      acknowledged: sum(writers.map(({ acknowledged }) => acknowledged)),
      unknown: sum(writers.map(({ unique, lists }) =>
        unique.filter(({ revision }) => revision === null).length + sum(lists.map((list) => list.unknown.size)))),
      refused: sum(writers.map(({ refused }) => refused)),
      terms: new Set(cluster.claims.map(({ term }) => term)).size,
      fromSnapshot,
      lost: writers.flatMap((writer) => lostWrites(writer, stored)),
      doubled: writers.flatMap((writer) => [...writer.violations, ...doubledWrites(writer, stored)]),
      leaders: contradictionsIn(cluster.claims),
      diverged: [...diverged, ...differences(stored)],
      failures: cluster.failures,
      longestOutageMs: Math.round(longestOutageMs),
      elapsedMs: Math.round(performance.now() - startedMs)
    }
  } finally {
    await Promise.all(writers.map(async (writer) => { await writer.stop() }))
    await cluster.stop()
  }
}

/** Cuts the power at a random moment. A call of a disk that it hits may be torn. */
async function cutOnce (
  cluster: PoweredCluster,
  writers: readonly KillClient[],
  random: () => number
): Promise<Moment> {
  const drawn = (['inCall', 'answered', 'anyTime'] as const)[Math.floor(random() * 3)] ?? 'anyTime'
  let moment = drawn
  const timer = setTimeout(() => {
    moment = 'anyTime'
    cluster.cut()
  }, random() * longestLoadMs)
  if (drawn === 'inCall') {
    cluster.nodes[Math.floor(random() * cluster.nodes.length)]?.disk.failAfter(Math.floor(random() * mostCalls))
  } else if (drawn === 'answered') {
    await untilAnswered(cluster, writers, 1 + Math.floor(random() * mostAnswers))
    if (cluster.isOn) cluster.cut()
  }
  await cluster.untilCut()
  clearTimeout(timer)
  return moment
}

/** Resolves in the turn of the event loop in which a client has got so many answers more, or at the power cut. */
async function untilAnswered (cluster: PoweredCluster, writers: readonly KillClient[], count: number): Promise<void> {
  const goal = sum(writers.map(({ acknowledged }) => acknowledged)) + count
  while (cluster.isOn && sum(writers.map(({ acknowledged }) => acknowledged)) < goal) {
    await new Promise((resolve) => { setImmediate(resolve) })
  }
}

/**
 * Logs that are not those of one cluster: where two of them hold an entry of the same index and term, they hold the
 * same entries up to there (paper section 5.3). Pure.
 */
export function contradictingLogs (logs: ReadonlyMap<string, Pick<RecoveredState, 'entries'>>): string[] {
  const all = [...logs].map(([id, { entries }]) => ({ id, byIndex: new Map(entries.map((one) => [one.index, one])) }))
  return all.flatMap((one, position) => all.slice(position + 1).flatMap((other) => {
    const shared = [...one.byIndex.keys()].filter((index) => other.byIndex.has(index)).sort((a, b) => a - b)
    const agreed = shared.findLast((index) => one.byIndex.get(index)?.term === other.byIndex.get(index)?.term) ?? 0
    const wrong = shared.find((index) => index <= agreed && !isSame(one.byIndex.get(index), other.byIndex.get(index)))
    return wrong === undefined ? [] : [`${one.id} and ${other.id} agree at index ${agreed} and differ at ${wrong}`]
  }))
}

/** Whether no promise was broken. Pure. */
export function isUnharmed ({ lost, doubled, leaders, diverged, failures }: PowerCutResult): boolean {
  return [lost, doubled, leaders, diverged, failures].every((found) => found.length === 0)
}

function isSame (one: unknown, other: unknown): boolean {
  return isDeepStrictEqual(plain(one), plain(other))
}

/** Data lies in memory of several kinds: compared by content. */
function plain (entry: unknown): unknown {
  return JSON.parse(JSON.stringify(entry, (_key, value: unknown) =>
    value instanceof Uint8Array ? Buffer.from(value).toString('base64') : value)) as unknown
}

function sum (numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0)
}
