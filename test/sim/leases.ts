import type { NodeId, Output } from '../../src/raft/core/index.ts'
import type { LeasePort } from '../../src/raft/driver/carry-out.ts'
import { LeadershipLease } from '../../src/raft/driver/lease.ts'
import type { CoreNode } from '../support/core-node.ts'
import type { NodeClock } from './node-clock.ts'
import { BrokenPromise } from './promise.ts'

/** The production lease, or a deliberately broken copy of it. */
export type LeaseConstructor = new (...parameters: ConstructorParameters<typeof LeadershipLease>) => LeadershipLease

/** How the leases of a run are kept. */
export interface LeaseRules {
  /** Length of a lease on the leader's own clock, in milliseconds. */
  readonly durationMs: number
  readonly Lease: LeaseConstructor | undefined
}

interface Held {
  readonly node: CoreNode
  readonly clock: NodeClock
  lease: LeadershipLease
}

/**
 * Keeps the lease of every node as the driver does, with the production code on the clocks of that node, and throws as
 * soon as another node leads while a lease runs (dissertation section 6.4.1).
 */
export class Leases {
  readonly #rules: LeaseRules
  readonly #held = new Map<NodeId, Held>()
  /** Leaders at this moment, deposed ones that do not know it among them. */
  readonly #leaders = new Map<NodeId, Held>()
  taken = 0

  constructor (rules: LeaseRules) {
    this.#rules = rules
  }

  /** A node has started: it remembers no lease. */
  started (node: CoreNode, clock: NodeClock): void {
    const { Lease = LeadershipLease, durationMs } = this.#rules
    this.#leaders.delete(node.id)
    this.#held.set(node.id, {
      node,
      clock,
      lease: new Lease(clock, () => (node.core.isSoleVoter ? Infinity : durationMs))
    })
  }

  /** The lease of a node's current start. */
  leaseOf (id: NodeId): LeadershipLease { return this.#heldBy(id).lease }

  crashed (node: CoreNode): void {
    this.#leaders.delete(node.id)
  }

  /** How the driver keeps it. */
  portOf (id: NodeId): LeasePort {
    return {
      reset: () => { this.#heldBy(id).lease.reset() },
      started: (round, at) => { this.#heldBy(id).lease.started(round, at) },
      confirmed: (round) => {
        this.#heldBy(id).lease.confirmed(round)
        this.taken++
      }
    }
  }

  stepped (node: CoreNode, output: Output): void {
    if (output.view?.role === 'leader') this.#leaders.set(node.id, this.#heldBy(node.id))
    else if (output.view !== null) this.#leaders.delete(node.id)
    if (this.#leaders.size > 1) this.#check()
  }

  #heldBy (id: NodeId): Held {
    const held = this.#held.get(id)
    if (held === undefined) throw new Error(`${id} never started`)
    return held
  }

  /** While a node holds a lease, no other node leads with a lease, not even in an earlier term. */
  #check (): void {
    const leaders = [...this.#leaders.values()].map((held) => ({ ...held, remainingMs: this.#remainingMs(held) }))
    for (const holder of leaders) {
      if (holder.remainingMs <= 0) continue
      for (const other of leaders) {
        if (other.node === holder.node) continue
        // Late grants can still elect a leader of an earlier term; no quorum will ever answer it.
        if (other.node.core.view.term < holder.node.core.view.term && other.remainingMs <= 0) continue
        throw new BrokenPromise(
          'one lease',
          `${other.node.id} leads while the lease of ${holder.node.id} runs for another ${holder.remainingMs} ms`
        )
      }
    }
  }

  /**
   * As the driver asks: a node that has told another to take over, or waits for its term's no-op, leads no more or not
   * yet.
   */
  #remainingMs ({ node, lease }: Held): number {
    const token = node.core.leadershipIndex
    return token === null || node.core.commitIndex < token ? 0 : lease.remainingMs()
  }
}
