import { asNodeId, configurationOf } from '../../src/raft/core/index.ts'
import type { Input, NodeId, Output } from '../../src/raft/core/index.ts'
import { CoreNode } from '../support/core-node.ts'
import { Changes } from './changes.ts'
import { Checker } from './checker.ts'
import { Clients } from './clients.ts'
import { describeConfiguration } from './configurations.ts'
import { scheduleFaults } from './faults.ts'
import { Healing } from './healing.ts'
import { Machines } from './machines.ts'
import { Network } from './network.ts'
import { Interventions } from './interventions.ts'
import type { Intervention, Kept } from './interventions.ts'
import { drawPlan } from './plan.ts'
import type { PlanOverride } from './plan.ts'
import type { ProtocolTrace } from './protocol-trace.ts'
import { SimRandom } from './random.ts'
import { TraceRecorder } from './trace.ts'
import { World } from './world.ts'
import type { Sabotage, SimNode } from './world.ts'

/** What happened in a run. */
export interface RunReport {
  readonly size: number
  readonly events: number
  readonly elections: number
  readonly committed: number
  readonly acknowledged: number
  readonly readsConfirmed: number
  readonly crashes: number
  readonly leasesTaken: number
  readonly changes: number
  readonly transfers: number
  readonly simulatedMs: number
  readonly traceHash: string
}

/** What is simulated: all but the overrides follows from the seed. */
export interface SimulationOptions {
  readonly seed: number
  readonly plan?: PlanOverride | undefined
  readonly sabotage?: Sabotage | undefined
  /** Only these interventions take place; null: all. */
  readonly kept?: Kept | null | undefined
  readonly keepTrace?: boolean
  readonly protocolTrace?: ProtocolTrace | null
}

/** One cluster over a simulated network, disk and clock. Everything in it follows from the plan and the random source. */
export class Simulation {
  readonly #world: World
  readonly #network: Network
  readonly #checker: Checker
  readonly #machines: Machines
  readonly #clients: Clients
  readonly #changes: Changes

  constructor ({ seed, plan: override, sabotage = {}, kept = null, keepTrace = false, protocolTrace = null }: SimulationOptions) {
    const random = new SimRandom(seed)
    const plan = drawPlan(random, new SimRandom(seed, 'membership'), override)
    const world = new World(plan, random, new Interventions(seed, kept), new TraceRecorder(keepTrace), protocolTrace)
    this.#world = world
    this.#network = new Network(world)
    const ids = Array.from({ length: plan.size }, (_, position) => asNodeId(`n${position + 1}`))
    const spares = Array.from({ length: plan.membership.spares }, (_, position) => asNodeId(`s${position + 1}`))
    for (const id of ids) world.nodes.push(this.#createNode(id, ids, sabotage))
    for (const id of spares) world.nodes.push(this.#createNode(id, [], sabotage))
    this.#checker = new Checker({
      configuration: configurationOf(ids),
      leaseFromAnswer: sabotage.leaseFromAnswer === true,
      nodes: world.nodes.map(({ node }) => node),
      nowUs: () => world.nowUs,
      // The leader's clock may be the slowest and the followers' clocks the fastest: the driver divides by both.
      leaseUs: (id) => Math.floor((plan.electionTicksMin - 1) * plan.tickUs * (1 - plan.drift) / (1 + plan.drift) / world.nodeOf(id).rate)
    })
    this.#machines = new Machines(world, this.#checker)
    this.#clients = new Clients(world, this.#checker)
    this.#changes = new Changes(world, this.#machines, this.#network)
  }

  get trace (): TraceRecorder { return this.#world.trace }
  get nowUs (): number { return this.#world.nowUs }
  get interventions (): readonly Intervention[] { return this.#world.interventions.done }

  #createNode (id: NodeId, voters: readonly NodeId[], sabotage: Sabotage): SimNode {
    const { plan, random } = this.#world
    const config = {
      id,
      configuration: configurationOf(voters),
      heartbeatTicks: plan.heartbeatTicks,
      electionTicksMin: plan.electionTicksMin,
      electionTicksMax: plan.electionTicksMax,
      seed: random.between(0, 0x7fff_ffff),
      limits: plan.limits
    }
    const node = new CoreNode(config, {
      ...sabotage,
      wallMs: () => Math.floor(this.#world.nowUs / 1_000),
      send: (message) => { this.#network.send(message) },
      stepped: (stepped, input, output) => { this.#stepped(stepped, input, output) }
    })
    const rate = 1 + plan.drift * (2 * random.next() - 1)
    return { node, rate, pausedUntilUs: 0, mailbox: [], isWriting: false }
  }

  /** Runs to the end: chaos first, then a healed majority that must make progress. */
  async run (): Promise<RunReport> {
    const world = this.#world
    for (const sim of world.nodes) {
      this.#machines.start(sim)
      this.#machines.scheduleTick(sim)
    }
    scheduleFaults(world, this.#machines, this.#network)
    this.#clients.start()
    this.#changes.start()
    await world.runUntil(world.plan.durationUs)
    await new Healing(world, this.#checker, this.#network, this.#machines, this.#clients).run()
    return this.#report()
  }

  #report (): RunReport {
    const checker = this.#checker
    return {
      size: this.#world.plan.size,
      events: this.#world.events,
      elections: checker.elections,
      committed: checker.committed.length,
      acknowledged: this.#clients.acknowledged,
      readsConfirmed: checker.readsConfirmed,
      crashes: this.#machines.crashes,
      leasesTaken: checker.leasesTaken,
      changes: checker.membership.changes,
      transfers: this.#changes.transfers,
      simulatedMs: Math.floor(this.#world.nowUs / 1_000),
      traceHash: this.trace.hash
    }
  }

  #stepped (node: CoreNode, input: Input, output: Output): void {
    const { role, term } = node.core.view
    this.#world.note(input.kind, input.kind === 'receive' ? input.message.kind : null, node.id, role, term, node.core.lastIndex, node.core.commitIndex)
    if (output.configuration !== null) this.#world.note('configuration', node.id, node.core.configurationIndex, describeConfiguration(output.configuration))
    this.#checker.stepped(node, input, output)
    this.#world.protocolTrace?.stepped(node, input, output)
    this.#machines.startDisk(node)
    if (output.committed.length > 0) this.#clients.settle(node, output.committed)
    for (const read of output.reads) this.#clients.readAnswered(read)
    this.#changes.stepped(node, output)
  }
}
