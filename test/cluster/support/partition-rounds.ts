import { type FaultResult, runFaultRounds } from './fault-rounds.ts'
import { cutsOfFive, cutsOfThree } from './network-faults.ts'
import { RoutedCluster } from './routed-cluster.ts'

/** Options of a run of cuts. */
export interface PartitionOptions {
  readonly program: string
  /** An existing directory for data and logs. */
  readonly directory: string
  /** Three nodes: the leader is cut off in different ways. Five: one of them is a bridge. */
  readonly size: 3 | 5
  readonly rounds: number
  /** A number in [0, 1). */
  readonly random: () => number
  readonly onRound: (round: number, kind: string) => void
}

/** Cuts the network between real processes, each kind of cut in turn. Only within a namespace that ends with them. */
export async function runPartitionRounds (
  { program, directory, size, rounds, random, onRound }: PartitionOptions
): Promise<FaultResult> {
  const cluster = await RoutedCluster.start(program, size, directory)
  try {
    return await runFaultRounds(cluster, {
      rounds,
      random,
      onRound,
      faultOf: (round, leader) => {
        const followers = shuffled(cluster.nodes.map(({ id }) => id).filter((id) => id !== leader.id), random)
        const cuts = size === 3
          ? cutsOfThree(leader.id, followers)
          : cutsOfFive(leader.id, followers)
        const cut = cuts[round % cuts.length]
        if (cut === undefined) throw new Error('There is no cut')
        return cluster.faultOf(cut)
      }
    })
  } finally {
    await cluster.stop()
  }
}

function shuffled (items: readonly string[], random: () => number): readonly string[] {
  return items
    .map((item) => ({ item, place: random() }))
    .sort((left, right) => left.place - right.place)
    .map(({ item }) => item)
}
