import type { Configuration, ConfigurationChange, NodeId, Output } from '../../src/raft/core/index.ts'
import type { CoreNode, Step } from '../support/core-node.ts'
import type { Machines } from './machines.ts'
import type { Network } from './network.ts'
import type { SimRandom } from './random.ts'
import type { World } from './world.ts'

/** Adds, promotes, demotes and removes nodes, with faults in the middle of a change. */
export class Changes {
  readonly #world: World
  readonly #machines: Machines
  readonly #network: Network
  #nextAddress = 1
  transfers = 0

  constructor (world: World, machines: Machines, network: Network) {
    this.#world = world
    this.#machines = machines
    this.#network = network
  }

  start (): void {
    this.#world.repeatUntilHealed('change', this.#world.plan.membership.configureUs, (random) => {
      this.#change(random)
    })
  }

  #change (random: SimRandom): void {
    const { leaders, up } = this.#world
    const candidates = leaders.length > 0 && random.chance(0.95) ? leaders : up
    if (candidates.length === 0) return
    const sim = random.pick(candidates)
    this.#world.enter(sim, () => {
      // The change may have waited in a paused node, and the healed majority was chosen without it.
      if (this.#world.isHealed) return
      const { core } = sim.node
      const steps = random.chance(0.7) ? 1 : random.between(0, 3)
      const changes = Array.from({ length: steps }, () => this.#drawChange(random, core.configuration, sim.node.id))
      const expectedIndex = random.chance(0.5)
        ? null
        : random.chance(0.9)
          ? core.configurationIndex
          : core.configurationIndex - 1
      sim.node.configure(changes, expectedIndex)
    })
  }

  /** Mostly a change that makes sense, now and then any. */
  #drawChange (random: SimRandom, { members, voters, learners }: Configuration, self: NodeId): ConfigurationChange {
    const { nodes } = this.#world
    const all = nodes.map(({ node }) => node.id)
    const pick = (ids: readonly NodeId[]): NodeId => random.pick(ids.length === 0 || random.chance(0.05) ? all : ids)
    const address = `http://${this.#nextAddress++}`
    switch (
      random.pick([
        'add',
        'add',
        'add',
        'promote',
        'promote',
        'promote',
        'demote',
        'remove',
        'remove',
        'leave',
        'move'
      ] as const)
    ) {
      case 'add':
        return {
          kind: 'add-learner',
          id: pick(all.filter((id) => members.every((member) => member.id !== id))),
          address
        }
      case 'promote':
        return { kind: 'promote', id: pick(learners) }
      case 'demote':
        return { kind: 'demote', id: pick(voters) }
      case 'remove':
        return { kind: 'remove', id: pick(members.map(({ id }) => id)) }
      case 'leave':
        return { kind: 'remove', id: self }
      case 'move':
        return { kind: 'set-address', id: pick(members.map(({ id }) => id)), address }
    }
  }

  /** A change or a transfer has begun on this node: something may go wrong before it is complete. */
  stepped (node: CoreNode, step: Step, output: Output): void {
    const { plan, interventions, isHealed } = this.#world
    const other = step.kind === 'transfer' && step.result.kind === 'started' ? step.result.to : null
    if (other !== null) this.transfers++
    // The entry that leaves a joint configuration is no answer to anybody: there the change itself tells.
    const begins = other !== null || (output.configuration !== null && node.core.view.role === 'leader')
    if (isHealed || !begins || plan.membership.interrupted === 0) return
    const random = interventions.next('interrupt')
    if (random === null || !random.chance(plan.membership.interrupted)) return
    const ids = [
      node.id,
      ...(other === null ? [] : [other]),
      ...(random.chance(0.3) ? (output.configuration?.voters ?? []) : [])
    ]
    this.#interrupt(random.pick(ids), random)
  }

  #interrupt (id: NodeId, random: SimRandom): void {
    const { plan, queue } = this.#world
    const electionUs = plan.electionTicksMax * plan.tickUs
    queue.after(random.chance(0.5) ? random.between(0, plan.tickUs) : random.between(0, 2 * electionUs), () => {
      if (this.#world.isHealed) return
      const sim = this.#world.nodeOf(id)
      switch (random.pick(['crash', 'crash', 'isolate', 'pause', 'step-down'] as const)) {
        case 'crash': return this.#machines.crashAndRestart(sim, random)
        case 'isolate': return this.#network.isolate(id, random.between(1, 4 * electionUs))
        case 'pause': return this.#machines.pause(sim, random.between(1, plan.faults.pausedUs))
        case 'step-down': return this.#world.enter(sim, () => { sim.node.stepDown() })
      }
    })
  }
}
