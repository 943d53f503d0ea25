import type { Expectation } from './fault-rounds.ts'

/** One direction between two hosts. */
export interface Direction {
  readonly from: string
  readonly to: string
}

/** A cut of the network, and what the cluster has to do meanwhile. */
export interface Cut {
  readonly kind: string
  /** Directions in which every packet is lost. */
  readonly lost: readonly Direction[]
  readonly expected: Expectation
}

const anotherLeader: Expectation = { kind: 'another leader', oldLeaderAnswers: true }

/** The cuts of a cluster of three. */
export function cutsOfThree (leader: string, followers: readonly string[]): readonly Cut[] {
  return [
    { kind: 'leader cut off', lost: bothWays([leader], followers), expected: anotherLeader },
    { kind: 'loss towards the leader', lost: oneWay(followers, [leader]), expected: anotherLeader },
    { kind: 'loss from the leader', lost: oneWay([leader], followers), expected: anotherLeader },
    { kind: 'leader and one follower apart', lost: bothWays([leader], followers.slice(0, 1)), expected: { kind: 'writes go on' } }
  ]
}

/** The cuts of a cluster of five in which the first follower is a bridge: it hears everybody. */
export function cutsOfFive (leader: string, [, ...others]: readonly string[]): readonly Cut[] {
  const near = others.slice(0, 1)
  const far = others.slice(1)
  return [
    { kind: 'only the bridge hears the leader', lost: bothWays([leader], others), expected: anotherLeader },
    { kind: 'two halves and a bridge', lost: bothWays([leader, ...near], far), expected: { kind: 'writes go on' } },
    {
      kind: 'all hear the bridge alone',
      lost: [leader, ...others].flatMap((from) => oneWay([from], [leader, ...others].filter((to) => to !== from))),
      // Only the bridge can be elected, and not if its log is shorter than those of three others.
      expected: { kind: 'leader steps down' }
    }
  ]
}

function oneWay (senders: readonly string[], receivers: readonly string[]): Direction[] {
  return senders.flatMap((from) => receivers.map((to) => ({ from, to })))
}

function bothWays (left: readonly string[], right: readonly string[]): Direction[] {
  return [...oneWay(left, right), ...oneWay(right, left)]
}
