import type { Input } from '../../src/raft/core/index.ts'
import type { Machines } from './machines.ts'
import type { Network } from './network.ts'
import type { World } from './world.ts'

/** Everything that goes wrong on its own, at random times. */
export const scheduleFaults = (world: World, machines: Machines, network: Network): void => {
  const { plan: { faults }, random, nodes } = world

  const poke = (input: Input): void => {
    const sim = random.pick(nodes)
    world.enter(sim, () => { sim.node.step(input) })
  }

  const transfer = (): void => {
    const { leaders } = world
    if (leaders.length === 0) return
    const sim = random.pick(leaders)
    const to = random.chance(0.3) ? null : random.pick(nodes).node.id
    world.enter(sim, () => { sim.node.step({ kind: 'transfer', to }) })
  }

  world.repeatUntilHealed(faults.crashUs, () => { machines.crashAndRestart(random.pick(nodes)) })
  world.repeatUntilHealed(faults.massCrashUs, () => { for (const sim of nodes) machines.crashAndRestart(sim) })
  world.repeatUntilHealed(faults.partitionUs, () => { network.partition() })
  world.repeatUntilHealed(faults.pauseUs, () => { machines.pause(random.pick(nodes), random.between(1, faults.pausedUs)) })
  world.repeatUntilHealed(faults.stepDownUs, () => { poke({ kind: 'step-down' }) })
  world.repeatUntilHealed(faults.campaignUs, () => { poke({ kind: 'campaign' }) })
  world.repeatUntilHealed(faults.transferUs, transfer)
}
