import { BrokenPromise } from './checker.ts'
import type { Checker } from './checker.ts'
import type { Clients, PendingProposal } from './clients.ts'
import type { Machines } from './machines.ts'
import type { Network } from './network.ts'
import type { SimNode, World } from './world.ts'

const isLost = ({ node, index, term }: PendingProposal): boolean => node.log[index - 1]?.term !== term

const isDecided = (pending: PendingProposal): boolean => {
  const { node, start, index } = pending
  return !node.isUp || node.starts !== start || node.core.commitIndex >= index || isLost(pending)
}

/** The end of a run: a majority is healed, the others stay down, and all that was asked must be answered. */
export class Healing {
  readonly #world: World
  readonly #checker: Checker
  readonly #network: Network
  readonly #machines: Machines
  readonly #clients: Clients

  constructor (world: World, checker: Checker, network: Network, machines: Machines, clients: Clients) {
    this.#world = world
    this.#checker = checker
    this.#network = network
    this.#machines = machines
    this.#clients = clients
  }

  run (): void {
    const clients = this.#clients
    const healed = this.#heal()
    const limitUs = this.#limitUs()
    const undecided = [...clients.pending]
    let marker: PendingProposal | null = null
    this.#require('a command is committed on every node', limitUs, () => {
      // A leader may still be replaced because of what was on its way, and then its command may be lost.
      if (marker === null || isLost(marker)) marker = this.#proposeOnLeader(healed)
      const last = marker
      return last !== null && healed.every(({ node }) => node.core.commitIndex >= last.index) && !isLost(last)
    })
    for (const sim of healed) clients.readUntilConfirmed(sim)
    this.#require('every node reads', limitUs, () => healed.every(({ node }) => clients.hasRead(node.id)))
    this.#require('every proposal is decided', limitUs, () => undecided.every(isDecided))
    if (clients.acknowledgedThrough > this.#checker.committed.length) throw new BrokenPromise('acknowledged means committed', `${clients.acknowledgedThrough}`)
  }

  #heal (): readonly SimNode[] {
    const { plan, random, nodes } = this.#world
    this.#world.isHealed = true
    this.#network.heal()
    const healed = random.shuffled(nodes).slice(0, random.between(Math.floor(plan.size / 2) + 1, plan.size))
    this.#world.note('heal', healed.map(({ node }) => node.id).join(' '))
    for (const sim of nodes) {
      if (!healed.includes(sim)) this.#machines.crash(sim)
      else if (!sim.node.isUp) this.#machines.start(sim)
    }
    return healed
  }

  #limitUs (): number {
    const { plan, nowUs } = this.#world
    return nowUs + plan.faults.pausedUs + plan.disk.stallUs + plan.network.strayUs + 60 * plan.electionTicksMax * plan.tickUs
  }

  #proposeOnLeader (sims: readonly SimNode[]): PendingProposal | null {
    const leader = sims.find(({ node }) => node.core.view.role === 'leader' && node.core.commitIndex >= (node.core.leadershipIndex ?? Infinity))
    return leader === undefined ? null : this.#clients.proposeOne(leader.node)
  }

  #require (what: string, limitUs: number, isDone: () => boolean): void {
    if (!this.#world.runUntil(limitUs, isDone)) throw new BrokenPromise('liveness', `no progress after healing: ${what}`)
  }
}
