import { setTimeout as delay } from 'node:timers/promises'
import { getJson, pollUntil } from '../../../src/cli/local/polling.ts'
import { KillClient } from './kill-client.ts'
import { differences, doubledWrites, lostWrites } from './kill-rounds.ts'
import type { MovingCluster, MovingNode } from './moving-cluster.ts'
import { writeMany } from './paced-writer.ts'

/** The result of killing a node that joins, at one moment after another. */
export interface JoinKillsResult {
  readonly moments: number
  /** What the cluster said about the node right before each kill: how often each. */
  readonly killedAs: Readonly<Record<string, number>>
  /** Rounds in which the node did not become a voter after its restart, with the end of its log. */
  readonly failed: readonly string[]
  readonly acknowledged: number
  /** Acknowledged writes that are missing or changed. */
  readonly lost: readonly string[]
  /** Writes that were applied twice or came from nowhere. */
  readonly doubled: readonly string[]
  /** Differences between the nodes at the end. */
  readonly diverged: readonly string[]
  /** How long an undisturbed join took, and how long until the node listened. Milliseconds. */
  readonly joinMs: number
  readonly listenMs: number
  readonly elapsedMs: number
}

export interface JoinKillsOptions {
  readonly moments: number
  /** Writes before, so that catching up takes a while. */
  readonly entries: number
  readonly onMoment?: (what: string) => void
}

const joiner = 'n4'
const clients = 3
const timeoutMs = 30_000

/**
 * Lets a node join under load and kills it once on the way, each time at a later moment between its first answer
 * and the end of an undisturbed join. It is started again on what is left, and has to become a voter. Then it is
 * removed and wiped for the next moment.
 */
export async function killJoiners (
  cluster: MovingCluster,
  { moments, entries, onMoment = () => {} }: JoinKillsOptions
): Promise<JoinKillsResult> {
  const startedMs = performance.now()
  const urls = cluster.members.map(({ url }) => url)
  await writeMany(urls[0] ?? '', { entries, valueBytes: 200, keys: entries })
  const writers = Array.from({ length: clients }, (_, number) => new KillClient(`c${number + 1}`, urls, Math.random))
  const killedAs: Record<string, number> = {}
  const failed: string[] = []
  let times = { joinMs: 0, listenMs: 0 }
  try {
    times = await undisturbed(cluster)
    for (let moment = 0; moment < moments; moment++) {
      const { listenMs, joinMs } = times
      const afterMs = Math.round(listenMs + ((joinMs - listenMs) * moment) / moments)
      const node = cluster.launchJoiner(joiner)
      await delay(afterMs)
      const role = await roleOf(urls[0] ?? '')
      await node.child.kill('SIGKILL')
      killedAs[role] = (killedAs[role] ?? 0) + 1
      node.child.start()
      const fault = await faultOf(cluster, node, urls[0] ?? '')
      if (fault !== null) failed.push(`killed as ${role} after ${afterMs} ms: ${fault}\n${node.child.logTail()}`)
      onMoment(`killed as ${role} after ${afterMs} ms: ${fault ?? 'a voter all the same'}`)
      await cluster.shrink(joiner)
    }
  } finally {
    await Promise.all(writers.map(async (writer) => { await writer.stop() }))
  }
  const stored = await cluster.settledEntries()
  return {
    moments,
    killedAs,
    failed,
    acknowledged: writers.reduce((total, { acknowledged }) => total + acknowledged, 0),
    lost: writers.flatMap((writer) => lostWrites(writer, stored)),
    doubled: writers.flatMap((writer) => [...writer.violations, ...doubledWrites(writer, stored)]),
    diverged: differences(stored),
    ...times,
    elapsedMs: Math.round(performance.now() - startedMs)
  }
}

async function undisturbed (cluster: MovingCluster): Promise<{ readonly joinMs: number, readonly listenMs: number }> {
  const startedMs = performance.now()
  const node = cluster.launchJoiner(joiner)
  await pollUntil(`${joiner} to listen`, timeoutMs, async () =>
    await getJson(`${node.url}/_cluster/v1/status`, timeoutMs))
  const listenMs = performance.now() - startedMs
  await cluster.ready(node)
  const joinMs = performance.now() - startedMs
  await cluster.shrink(joiner)
  return { joinMs: Math.round(joinMs), listenMs: Math.round(listenMs) }
}

/** Null when the node is ready and a voter, as another node says. */
async function faultOf (cluster: MovingCluster, node: MovingNode, askedUrl: string): Promise<string | null> {
  try {
    await cluster.ready(node)
    const role = await roleOf(askedUrl)
    return role === 'voter' ? null : `it is ready, and the cluster says ${role}`
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}

/** What the cluster says that the joiner is. */
async function roleOf (url: string): Promise<string> {
  const answer = await getJson<{ readonly members: ReadonlyArray<{ readonly id: string, readonly role: string }> }>(
    `${url}/_cluster/v1/members?read=linearizable`,
    timeoutMs
  )
  if (answer === null) return 'unknown'
  return answer.members.find(({ id }) => id === joiner)?.role ?? 'absent'
}
