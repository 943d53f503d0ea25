import type { CoreNode } from '../support/core-node.ts'
import type { Machines } from './machines.ts'
import type { Network } from './network.ts'
import type { SimRandom } from './random.ts'
import type { SimNode, World } from './world.ts'

/** Everything that goes wrong on its own, at random times. */
export function scheduleFaults (world: World, machines: Machines, network: Network): void {
  const { plan: { faults }, nodes } = world

  const poke = (random: SimRandom, act: (node: CoreNode) => void): void => {
    const sim = random.pick(nodes)
    world.enter(sim, () => { act(sim.node) })
  }

  const transfer = (random: SimRandom): void => {
    const { leaders } = world
    if (leaders.length === 0) return
    const sim = random.pick(leaders)
    const to = random.chance(0.3) ? null : random.pick(nodes).node.id
    world.enter(sim, () => { sim.node.transfer(to) })
  }

  world.repeatUntilHealed('crash', faults.crashUs, (random) => { machines.crashAndRestart(random.pick(nodes), random) })
  world.repeatUntilHealed('mass-crash', faults.massCrashUs, (random) => {
    for (const sim of nodes) {
      machines.crashAndRestart(sim, random)
    }
  })
  world.repeatUntilHealed('partition', faults.partitionUs, (random) => { network.partition(random) })
  world.repeatUntilHealed('pause', faults.pauseUs, (random) => {
    machines.pause(random.pick(nodes), random.between(1, faults.pausedUs))
  })
  world.repeatUntilHealed('lapse', faults.lapseUs, (random) => {
    const { leaders, plan: { electionTicksMin, tickUs } } = world
    if (leaders.length === 0) return
    const electionUs = electionTicksMin * tickUs
    machines.pause(random.pick(leaders), random.between(electionUs / 2, electionUs - tickUs))
  })
  world.repeatUntilHealed('disk-full', faults.fullUs, (random) => {
    machines.fillDisk(random.pick(nodes), random.between(1, faults.fullForUs))
  })
  world.repeatUntilHealed('rot', faults.rotUs, (random) => { machines.rot(random.pick(nodes), random) })
  world.repeatUntilHealed('suspend', faults.suspendUs, (random) => {
    machines.pause(random.pick(nodes), random.between(1, faults.pausedUs), true)
  })
  world.repeatUntilHealed('wall-clock', faults.wallClockUs, (random) => {
    const sim = random.pick(nodes)
    const mostMs = faults.wallClockMs
    const byMs = random.pick([-mostMs, mostMs, random.between(-mostMs, mostMs)])
    world.note('wall clock', sim.node.id, byMs)
    sim.clock.setWallClock(byMs)
  })
  world.repeatUntilHealed('refusal', faults.refusalUs, (random) => { refuse(world, machines, network, random) })
  world.repeatUntilHealed('step-down', faults.stepDownUs, (random) => { poke(random, (node) => { node.stepDown() }) })
  world.repeatUntilHealed('campaign', faults.campaignUs, (random) => { poke(random, (node) => { node.campaign() }) })
  world.repeatUntilHealed('transfer', faults.transferUs, transfer)
}

/** Connections to a node, most often the leader, are refused to some of the others: it runs, or does not. */
function refuse (world: World, machines: Machines, network: Network, random: SimRandom): void {
  const { leaders, nodes, plan: { faults } } = world
  const refused: SimNode = random.pick(leaders.length > 0 && random.chance(0.8) ? leaders : nodes)
  const forUs = random.between(1, faults.refusedUs)
  const informed = random.shuffled(nodes).slice(0, random.between(1, nodes.length))
  machines.refuseConnections(refused, informed, forUs)
  switch (random.pick(['runs', 'runs', 'stands still', 'is cut off', 'crashes'] as const)) {
    case 'runs': return
    case 'stands still': machines.pause(refused, forUs); return
    case 'is cut off': network.isolate(refused.node.id, forUs); return
    case 'crashes': machines.crashAndRestart(refused, random)
  }
}
