import { setTimeout as delay } from 'node:timers/promises'
import type { LocalCluster } from '../../../src/cli/local/local-cluster.ts'
import { pollUntil } from '../../../src/cli/local/polling.ts'
import { KillClient } from './kill-client.ts'
import { allEntries, type KvEntry } from './kv-client.ts'
import { contradictionsIn, LeadershipWatch } from './leaderships.ts'
import type { AskedCluster } from './watched-cluster.ts'

/** The result of a run of kills. */
export interface KillResult {
  readonly rounds: number
  readonly kills: Readonly<Record<string, number>>
  readonly acknowledged: number
  readonly unknown: number
  readonly refused: number
  readonly terms: number
  /** Acknowledged writes that are missing or changed. */
  readonly lost: readonly string[]
  /** Writes that were applied twice or came from nowhere. */
  readonly doubled: readonly string[]
  /** Terms with two leaders, and tokens that did not rise. */
  readonly leaders: readonly string[]
  /** Differences between the nodes at the end. */
  readonly diverged: readonly string[]
  /** Longest time from a kill until a write was acknowledged again. */
  readonly longestOutageMs: number
  readonly elapsedMs: number
}

/** The node to kill: the leader, or any of the nodes. */
export type Victim = 'leader' | 'any'

/** Options of a run of kills. */
export interface KillOptions {
  readonly rounds: number
  readonly victim: Victim
  /** A number in [0, 1): decides victims, nodes and pauses. */
  readonly random: () => number
  readonly onRound?: (round: number) => void
}

const clients = 4
const settleTimeoutMs = 60_000
const recoveryTimeoutMs = 30_000

/**
 * Kills one node with SIGKILL once a round while clients write through random nodes, starts it again, and compares
 * the promises to the clients with the state of the nodes at the end.
 */
export async function runKillRounds (
  cluster: LocalCluster,
  { rounds, victim, random, onRound = () => {} }: KillOptions
): Promise<KillResult> {
  const startedMs = performance.now()
  const kills: Record<string, number> = {}
  const watch = new LeadershipWatch(cluster)
  const urls = cluster.nodes.map(({ url }) => url)
  const writers = Array.from({ length: clients }, (_, number) => new KillClient(`c${number + 1}`, urls, random))
  let longestOutageMs = 0
  try {
    for (let round = 1; round <= rounds; round++) {
      const { killed, outageMs } = await killOnce(cluster, writers, victim, random)
      kills[killed] = (kills[killed] ?? 0) + 1
      longestOutageMs = Math.max(longestOutageMs, outageMs)
      onRound(round)
    }
  } finally {
    await Promise.all(
      writers.map(async (writer) => {
        await writer.stop()
      })
    )
    await watch.end()
  }
  const stored = await settledEntries(cluster)
  return {
    rounds,
    kills,
    acknowledged: sum(writers.map((writer) => writer.acknowledged)),
    unknown: sum(
      writers.map(
        (writer) =>
          writer.unique.filter(({ revision }) => revision === null).length +
          sum(writer.lists.map((list) => list.unknown.size))
      )
    ),
    refused: sum(writers.map((writer) => writer.refused)),
    terms: new Set(watch.claims.map(({ term }) => term)).size,
    lost: writers.flatMap((writer) => lostWrites(writer, stored)),
    doubled: writers.flatMap((writer) => [...writer.violations, ...doubledWrites(writer, stored)]),
    leaders: contradictionsIn(watch.claims),
    diverged: differences(stored),
    longestOutageMs: Math.round(longestOutageMs),
    elapsedMs: Math.round(performance.now() - startedMs)
  }
}

async function killOnce (
  cluster: LocalCluster,
  writers: readonly KillClient[],
  victim: Victim,
  random: () => number
): Promise<{ readonly killed: string; readonly outageMs: number }> {
  const leader = await cluster.waitForLeader(recoveryTimeoutMs)
  const id =
    victim === 'leader' ? leader.id : (cluster.nodes[Math.floor(random() * cluster.nodes.length)]?.id ?? leader.id)
  await delay(random() * 300)
  const killedAtMs = performance.now()
  await cluster.kill(id, 'SIGKILL')
  // Every second time it is back before the others have elected a leader; otherwise they go on without it first.
  const early = random() < 0.5
  if (early) {
    await delay(random() * 300)
    await cluster.restart(id, recoveryTimeoutMs)
  }
  await untilWritten(writers)
  const outageMs = performance.now() - killedAtMs
  if (!early) await cluster.restart(id, recoveryTimeoutMs)
  return { killed: id, outageMs }
}

export async function untilWritten (writers: readonly KillClient[]): Promise<void> {
  const acknowledged = (): number => sum(writers.map((writer) => writer.acknowledged))
  const before = acknowledged()
  await pollUntil('writes to be acknowledged again', recoveryTimeoutMs, async () =>
    acknowledged() >= before + writers.length ? true : null
  )
}

/** The applied entries of each node, as soon as all of them have applied everything committed. */
export async function settledEntries (cluster: AskedCluster): Promise<Map<string, readonly KvEntry[]>> {
  const leader = await cluster.waitForLeader(settleTimeoutMs)
  const goal = await pollUntil('the leader to tell its state', settleTimeoutMs, async () => {
    // After the linearizable read every acknowledged write is committed and known.
    const entries = await allEntries(leader.url, 'linearizable')
    return entries === null ? null : await cluster.status(leader.id)
  })
  const stored = new Map<string, readonly KvEntry[]>()
  for (const { id, url } of cluster.nodes) {
    await pollUntil(`${id} to catch up`, settleTimeoutMs, async () => {
      const status = await cluster.status(id)
      return status !== null && status.appliedIndex >= goal.commitIndex ? true : null
    })
    stored.set(
      id,
      await pollUntil(`${id} to tell its entries`, settleTimeoutMs, async () => await allEntries(url, 'local'))
    )
  }
  return stored
}

type Stored = ReadonlyMap<string, readonly KvEntry[]>

/** Acknowledged writes of one client that some node does not hold as promised. Pure. */
export function lostWrites (writer: Pick<KillClient, 'unique' | 'lists'>, stored: Stored): string[] {
  return perNode(stored, (node, byKey) => [
    ...writer.unique.flatMap(({ key, value, revision }) => {
      if (revision === null) return []
      const entry = byKey.get(key)
      return entry?.value === value && entry.revision === revision
        ? []
        : [`${key} on ${node}: promised ${value} at ${revision}, found ${JSON.stringify(entry)}`]
    }),
    ...writer.lists.flatMap(({ key, acknowledged }) => {
      const numbers = numbersOf(byKey.get(key))
      return acknowledged
        .filter((number) => !numbers.includes(number))
        .map((number) => `${number} in ${key} on ${node}`)
    })
  ])
}

/** Writes of one client that a node applied twice, out of order, or without a request. Pure. */
export function doubledWrites (writer: Pick<KillClient, 'lists'>, stored: Stored): string[] {
  return perNode(stored, (node, byKey) => writer.lists.flatMap(({ key, acknowledged, unknown }) => {
    const numbers = numbersOf(byKey.get(key))
    const known = new Set([...acknowledged, ...unknown])
    // Clients append rising numbers, so a repeated or foreign number is not above its predecessor.
    return numbers.flatMap((number, index) =>
      number > (numbers[index - 1] ?? 0) && known.has(number) ? [] : [`${number} at ${index} of ${key} on ${node}`]
    )
  }))
}

/** Differences between the nodes at the end. Pure. */
export function differences (stored: Stored): string[] {
  const [first, ...others] = [...stored]
  if (first === undefined) return ['no node told its entries']
  return others
    .filter(([, entries]) => JSON.stringify(entries) !== JSON.stringify(first[1]))
    .map(([node]) => `${node} differs from ${first[0]}`)
}

function perNode (stored: Stored, judge: (node: string, byKey: ReadonlyMap<string, KvEntry>) => string[]): string[] {
  return [...stored].flatMap(([node, entries]) => judge(node, new Map(entries.map((entry) => [entry.key, entry]))))
}

function numbersOf (entry: KvEntry | undefined): readonly number[] {
  return entry === undefined ? [] : entry.value as readonly number[]
}

function sum (numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0)
}
