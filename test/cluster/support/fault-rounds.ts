import { setTimeout as delay } from 'node:timers/promises'
import { pollUntil } from '../../../src/cli/local/polling.ts'
import {
  checkHistory,
  describeViolation,
  HistoryRecorder,
  type MapInput,
  type MapOutput,
  replicatedMapModel
} from '../../linearizability/index.ts'
import { type CallCounts, HistoryClient } from './history-client.ts'
import { differences, settledEntries } from './kill-rounds.ts'
import { contradictionsIn, LeadershipWatch } from './leaderships.ts'
import { StallWatch } from './stall-watch.ts'
import type { WatchedCluster, WatchedNode } from './watched-cluster.ts'

/** What the cluster has to do during a fault, before it is taken back. */
export type Expectation =
  /** Elect another leader, and acknowledge writes. A leader that can be asked must say that it leads no more. */
  | { readonly kind: 'another leader', readonly oldLeaderAnswers: boolean }
  /** Acknowledge writes, also when those that hear no leader have campaigned. */
  | { readonly kind: 'writes go on' }
  /** The leader, which can be asked, must say that it leads no more. Whether another one can be elected is open. */
  | { readonly kind: 'leader steps down' }
  /** Nothing in particular, for a time: a fault whose length is the point. */
  | { readonly kind: 'anything', readonly forMs: number }

/** Something that is done to a cluster and taken back. */
export interface Fault {
  readonly kind: string
  readonly expected: Expectation
  readonly start: () => Promise<void>
  readonly end: () => Promise<void>
}

/** What happened in all rounds of one kind. */
export interface KindResult {
  rounds: number
  /** Longest time without an acknowledged write, from the start of the fault until writes went on after its end. */
  longestStallMs: number
  /** Longest time from the end of the fault until every node followed one leader. */
  longestHealMs: number
}

/** The result of a run of faults. */
export interface FaultResult {
  readonly rounds: number
  readonly kinds: Readonly<Record<string, KindResult>>
  readonly calls: CallCounts
  readonly terms: number
  /** What no order of the calls explains. */
  readonly violations: readonly string[]
  /** Keys whose history was too hard to judge. */
  readonly undecided: readonly string[]
  /** Terms with two leaders, and tokens that did not rise. */
  readonly leaders: readonly string[]
  /** Differences between the nodes at the end. */
  readonly diverged: readonly string[]
  readonly elapsedMs: number
}

/** Options of a run of faults. */
export interface FaultOptions {
  readonly rounds: number
  /** The fault of a round, counted from 0, while this node leads. */
  readonly faultOf: (round: number, leader: WatchedNode) => Fault
  /** A number in [0, 1): decides keys, nodes and pauses. */
  readonly random: () => number
  readonly onRound?: (round: number, kind: string) => void
}

const clients = 6
const keysPerRound = 4
const recoveryTimeoutMs = 30_000
/** Longer than the longest election timeout: by then a node that hears no leader has campaigned. */
const campaignMs = 1_500
/** After the cluster has done what it has to do. */
const longestRestMs = 1_000
/** Beyond it a key is undecided; the histories of these keys are a few hundred calls long. */
const maxConfigurations = 5_000_000

/**
 * Does one fault a round to a cluster while clients read and write through random nodes, and judges at the end what
 * they saw. Rejects when the cluster does not do in time what a fault leaves possible.
 */
export async function runFaultRounds (
  cluster: WatchedCluster,
  { rounds, faultOf, random, onRound = () => {} }: FaultOptions
): Promise<FaultResult> {
  const startedMs = performance.now()
  const recorder = new HistoryRecorder<MapInput, MapOutput>(() => performance.now())
  const watch = new LeadershipWatch(cluster)
  const urls = cluster.nodes.map(({ url }) => url)
  let keys: readonly string[] = keysOf(0)
  const writers = Array.from({ length: clients }, (_, number) =>
    new HistoryClient({ name: `c${number + 1}`, urls, recorder, keys: () => keys, random }))
  const kinds: Record<string, KindResult> = {}
  try {
    for (let round = 0; round < rounds; round++) {
      // New keys keep each history short enough to be judged.
      keys = keysOf(round)
      await untilWritten(writers)
      await delay(random() * 300)
      const before = await leadership(cluster)
      const fault = faultOf(round, before.leader)
      onRound(round + 1, fault.kind)
      addRound(kinds, fault.kind, await runRound(cluster, writers, fault, before, random))
    }
  } finally {
    await Promise.all(writers.map(async (writer) => { await writer.stop() }))
    await watch.end()
  }
  const stored = await settledEntries(cluster)
  return {
    rounds,
    kinds,
    calls: totalOf(writers),
    terms: new Set(watch.claims.map(({ term }) => term)).size,
    ...judge(recorder),
    leaders: contradictionsIn(watch.claims),
    diverged: differences(stored),
    elapsedMs: Math.round(performance.now() - startedMs)
  }
}

async function runRound (
  cluster: WatchedCluster,
  writers: readonly HistoryClient[],
  fault: Fault,
  before: Leadership,
  random: () => number
): Promise<Omit<KindResult, 'rounds'>> {
  const stall = new StallWatch(() => totalOf(writers).writes)
  try {
    await fault.start()
    try {
      await untilMet(cluster, writers, fault.expected, before)
      await delay(random() * longestRestMs)
    } finally {
      await fault.end()
    }
    const endedMs = performance.now()
    await untilWhole(cluster)
    const longestHealMs = Math.round(performance.now() - endedMs)
    await untilWritten(writers)
    return { longestStallMs: stall.end(), longestHealMs }
  } finally {
    stall.end()
  }
}

interface Leadership {
  readonly leader: WatchedNode
  readonly term: number
}

/** Waits until the cluster has done what it has to do during a fault. */
async function untilMet (
  cluster: WatchedCluster,
  writers: readonly HistoryClient[],
  expected: Expectation,
  before: Leadership
): Promise<void> {
  switch (expected.kind) {
    case 'another leader':
      await untilSucceeded(cluster, before)
      if (expected.oldLeaderAnswers) await untilSteppedDown(cluster, before.leader.id)
      await untilWritten(writers)
      return
    case 'writes go on':
      await delay(campaignMs)
      await untilWritten(writers)
      return
    case 'leader steps down':
      await untilSteppedDown(cluster, before.leader.id)
      await delay(campaignMs)
      return
    case 'anything': await delay(expected.forMs)
  }
}

async function untilSucceeded (cluster: WatchedCluster, before: Leadership): Promise<void> {
  const others = cluster.nodes.filter(({ id }) => id !== before.leader.id)
  await pollUntil(`a leader in the place of ${before.leader.id}`, recoveryTimeoutMs, async () => {
    const statuses = await Promise.all(others.map(async ({ id }) => await cluster.status(id)))
    return statuses.some((status) => status?.role === 'leader' && status.term > before.term) ? true : null
  })
}

async function untilSteppedDown (cluster: WatchedCluster, leader: string): Promise<void> {
  await pollUntil(`${leader} to step down`, recoveryTimeoutMs, async () => {
    const status = await cluster.status(leader)
    return status !== null && status.role !== 'leader' ? true : null
  })
}

/** Waits until every node follows one leader in one term, and answers that leader. */
async function untilWhole (cluster: WatchedCluster): Promise<WatchedNode> {
  return await pollUntil('every node to follow one leader', recoveryTimeoutMs, async () => {
    const statuses = await Promise.all(cluster.nodes.map(async ({ id }) => await cluster.status(id)))
    const id = statuses[0]?.leader?.id
    const term = statuses[0]?.term
    const isWhole = statuses.every((status) => status?.leader?.id === id && status?.term === term)
    return isWhole ? cluster.nodes.find((node) => node.id === id) ?? null : null
  })
}

async function leadership (cluster: WatchedCluster): Promise<Leadership> {
  return await pollUntil('the leader to tell its term', recoveryTimeoutMs, async () => {
    const leader = await untilWhole(cluster)
    const status = await cluster.status(leader.id)
    return status === null ? null : { leader, term: status.term }
  })
}

async function untilWritten (writers: readonly HistoryClient[]): Promise<void> {
  const before = totalOf(writers).writes
  await pollUntil('writes to be acknowledged', recoveryTimeoutMs, async () =>
    totalOf(writers).writes >= before + 2 * writers.length ? true : null)
}

/** Whether no promise was broken, as far as it could be judged. Pure. */
export function isFaultless ({ violations, undecided, leaders, diverged }: FaultResult): boolean {
  return [violations, undecided, leaders, diverged].every((found) => found.length === 0)
}

/** What the checker says of all that the clients saw. */
function judge (recorder: HistoryRecorder<MapInput, MapOutput>): Pick<FaultResult, 'violations' | 'undecided'> {
  const verdict = checkHistory(replicatedMapModel, recorder.history(), { maxConfigurations })
  return {
    violations: verdict.verdict === 'violation' ? [describeViolation(replicatedMapModel, verdict)] : [],
    undecided: verdict.verdict === 'undecided' ? verdict.partitions : []
  }
}

function addRound (
  kinds: Record<string, KindResult>,
  kind: string,
  { longestStallMs, longestHealMs }: Omit<KindResult, 'rounds'>
): void {
  const known = kinds[kind] ?? { rounds: 0, longestStallMs: 0, longestHealMs: 0 }
  kinds[kind] = {
    rounds: known.rounds + 1,
    longestStallMs: Math.max(known.longestStallMs, longestStallMs),
    longestHealMs: Math.max(known.longestHealMs, longestHealMs)
  }
}

function keysOf (round: number): readonly string[] {
  return Array.from({ length: keysPerRound }, (_, number) => `r${round + 1}-k${number + 1}`)
}

function totalOf (writers: readonly HistoryClient[]): CallCounts {
  const total: CallCounts = { reads: 0, writes: 0, mismatches: 0, refused: 0, unknown: 0 }
  for (const { counts } of writers) {
    for (const name of Object.keys(total) as (keyof CallCounts)[]) total[name] += counts[name]
  }
  return total
}
