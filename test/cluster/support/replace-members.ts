import { KillClient } from './kill-client.ts'
import { differences, doubledWrites, lostWrites } from './kill-rounds.ts'
import type { MovingCluster } from './moving-cluster.ts'
import { StallWatch } from './stall-watch.ts'

/** The result of rounds of growing and shrinking. */
export interface ReplaceResult {
  readonly rounds: number
  /** Ids of the members after each round, oldest first. */
  readonly members: readonly string[]
  readonly acknowledged: number
  readonly unknown: number
  readonly refused: number
  /** Acknowledged writes that are missing or changed. */
  readonly lost: readonly string[]
  /** Writes that were applied twice or came from nowhere. */
  readonly doubled: readonly string[]
  /** Differences between the nodes at the end. */
  readonly diverged: readonly string[]
  /** Longest time without an acknowledged write, from the first to the last. */
  readonly longestStallMs: number
  readonly elapsedMs: number
}

const clients = 4

/**
 * Grows a cluster by two nodes and shrinks it by its two oldest, whose directories are wiped, once a round, while
 * clients write through random members; then compares the promises with the state of the members. Wiped nodes come
 * back under their ids in later rounds, as new members. `random` decides which node is written to.
 */
export async function replaceMembers (
  cluster: MovingCluster,
  rounds: number,
  random: () => number,
  onRound: (members: string) => void = () => {}
): Promise<ReplaceResult> {
  const startedMs = performance.now()
  const urls = cluster.members.map(({ url }) => url)
  const writers = Array.from({ length: clients }, (_, number) => new KillClient(`c${number + 1}`, urls, random))
  const acknowledged = (): number => sum(writers.map((writer) => writer.acknowledged))
  const watch = new StallWatch(acknowledged)
  const members: string[] = []
  let longestStallMs = 0
  try {
    for (let round = 1; round <= rounds; round++) {
      for (const id of cluster.freeIds.slice(0, 2)) urls.push((await cluster.grow(id)).url)
      for (const { id, url } of cluster.members.slice(0, 2)) {
        // Clients learn of it before, as from a load balancer. Their requests under way go on.
        urls.splice(urls.indexOf(url), 1)
        await cluster.shrink(id)
      }
      members.push(cluster.members.map(({ id }) => id).join())
      onRound(members.at(-1) ?? '')
    }
  } finally {
    longestStallMs = watch.end()
    await Promise.all(
      writers.map(async (writer) => {
        await writer.stop()
      })
    )
  }
  const stored = await cluster.settledEntries()
  return {
    rounds,
    members,
    acknowledged: acknowledged(),
    unknown: sum(
      writers.map(
        (writer) =>
          writer.unique.filter(({ revision }) => revision === null).length +
          sum(writer.lists.map((list) => list.unknown.size))
      )
    ),
    refused: sum(writers.map((writer) => writer.refused)),
    lost: writers.flatMap((writer) => lostWrites(writer, stored)),
    doubled: writers.flatMap((writer) => [...writer.violations, ...doubledWrites(writer, stored)]),
    diverged: differences(stored),
    longestStallMs,
    elapsedMs: Math.round(performance.now() - startedMs)
  }
}

function sum (numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0)
}
