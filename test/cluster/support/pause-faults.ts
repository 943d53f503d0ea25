import { type Fault, type FaultOptions, type FaultResult, runFaultRounds } from './fault-rounds.ts'
import type { WatchedCluster, WatchedNode } from './watched-cluster.ts'

/** What is paused: the leader, a follower, or the leader for about as long as followers wait for it. */
type PauseKind = 'leader' | 'follower' | 'leader for a moment'

const pauseKinds: readonly PauseKind[] = ['leader', 'follower', 'leader for a moment']

/** Around the election timeout, which is between 500 and 1,000 ms. */
const shortestMomentMs = 200
const longestMomentMs = 1_200

/** Pauses one node a round, each kind of pause in turn, and judges what clients saw. */
export async function runPauseRounds (
  cluster: WatchedCluster,
  options: Omit<FaultOptions, 'faultOf'>
): Promise<FaultResult> {
  return await runFaultRounds(cluster, {
    ...options,
    faultOf: (round, leader) => {
      const kind = pauseKinds[round % pauseKinds.length] ?? 'leader'
      return pauseFault(cluster, kind, leader, options.random)
    }
  })
}

/** Stops a process with SIGSTOP and lets it go on with SIGCONT. `random` gives numbers in [0, 1). */
function pauseFault (
  cluster: WatchedCluster,
  kind: PauseKind,
  leader: WatchedNode,
  random: () => number
): Fault {
  const followers = cluster.nodes.filter(({ id }) => id !== leader.id)
  const node = kind === 'follower' ? followers[Math.floor(random() * followers.length)] ?? leader : leader
  return {
    kind: `pause: ${kind}`,
    expected: expectationOf(kind, random),
    start: async () => { node.child.signal('SIGSTOP') },
    end: async () => { node.child.signal('SIGCONT') }
  }
}

function expectationOf (kind: PauseKind, random: () => number): Fault['expected'] {
  switch (kind) {
    case 'leader': return { kind: 'another leader', oldLeaderAnswers: false }
    case 'follower': return { kind: 'writes go on' }
    case 'leader for a moment': {
      const forMs = shortestMomentMs + random() * (longestMomentMs - shortestMomentMs)
      return { kind: 'anything', forMs }
    }
  }
}
