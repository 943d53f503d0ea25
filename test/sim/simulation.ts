import type { NodeId, Output } from '../../src/raft/core/index.ts'
import { asNodeId } from '../../src/raft/core/index.ts'
import { configurationOf } from '../support/configurations.ts'
import type { Step } from '../support/core-node.ts'
import { CoreNode } from '../support/core-node.ts'
import { Callers } from './callers.ts'
import { Changes } from './changes.ts'
import { Checker } from './checker.ts'
import { Clients } from './clients.ts'
import { describeConfiguration } from './configurations.ts'
import { scheduleFaults } from './faults.ts'
import { Healing } from './healing.ts'
import type { Intervention, Kept } from './interventions.ts'
import { Interventions } from './interventions.ts'
import { LeadershipWatches } from './leadership-watches.ts'
import { Leases } from './leases.ts'
import { Machines } from './machines.ts'
import { Network } from './network.ts'
import { NodeClock } from './node-clock.ts'
import { OtherCluster } from './other-cluster.ts'
import type { PlanOverride } from './plan.ts'
import { drawPlan } from './plan.ts'
import type { ProtocolTrace } from './protocol-trace.ts'
import { SimRandom } from './random.ts'
import { ReplicaChecker } from './replica-checker.ts'
import { Replicas } from './replicas.ts'
import { Snapshots } from './snapshots.ts'
import { TraceRecorder } from './trace.ts'
import { productionPrimitives } from './users/index.ts'
import type { Users } from './users/users.ts'
import type { Sabotage, SimNode } from './world.ts'
import { World } from './world.ts'

/** What happened in a run. */
export interface RunReport {
  readonly size: number
  readonly events: number
  readonly elections: number
  readonly committed: number
  readonly acknowledged: number
  readonly readsConfirmed: number
  readonly crashes: number
  /** Nodes that stopped because their disk failed, and nodes that refused a damaged log. */
  readonly halts: number
  readonly logsLost: number
  readonly leasesTaken: number
  /** Leaderships that were suspended, and those of them that went on. */
  readonly suspensions: number
  readonly resumptions: number
  /** Commands of sessions that were applied. */
  readonly commands: number
  /** Calls of users that were answered, and calls whose outcome stayed unknown. */
  readonly calls: number
  readonly callsUnknown: number
  /** Commands with an idempotency key that were executed, and calls that repeated one. */
  readonly keyed: number
  readonly keyedRepeats: number
  readonly grants: number
  /** What the applications on the nodes have seen. */
  readonly users: Users['report']
  readonly snapshots: number
  readonly installed: number
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

/**
 * One cluster over a simulated network, disk and clock. Everything in it follows from the plan and the random source.
 */
export class Simulation {
  readonly #world: World
  readonly #network: Network
  readonly #checker: Checker
  readonly #sabotage: Sabotage
  readonly #leases: Leases
  readonly #watches: LeadershipWatches
  readonly #replicaChecker: ReplicaChecker
  readonly #replicas: Replicas
  readonly #machines: Machines
  readonly #clients: Clients
  readonly #callers: Callers
  readonly #users: Users
  readonly #snapshots: Snapshots
  readonly #changes: Changes
  readonly #otherCluster: OtherCluster

  constructor ({
    seed,
    plan: override,
    sabotage = {},
    kept = null,
    keepTrace = false,
    protocolTrace = null
  }: SimulationOptions) {
    this.#sabotage = sabotage
    const random = new SimRandom(seed)
    const plan = drawPlan(seed, random, override)
    const world = new World(plan, random, new Interventions(seed, kept), new TraceRecorder(keepTrace), protocolTrace)
    this.#world = world
    this.#network = new Network(world)
    this.#leases = new Leases({
      // As the driver counts it, with a bound on the clocks' drift that holds here.
      durationMs: ((((plan.leaseTicks - 1) * plan.tickUs) / 1_000) * (1 - plan.drift)) / (1 + plan.drift),
      Lease: sabotage.Lease
    })
    this.#watches = new LeadershipWatches(world, (id) => this.#leases.leaseOf(id), sabotage.Watch)
    const ids = Array.from({ length: plan.size }, (_, position) => asNodeId(`n${position + 1}`))
    const spares = Array.from({ length: plan.membership.spares }, (_, position) => asNodeId(`s${position + 1}`))
    for (const id of ids) world.nodes.push(this.#createNode(id, ids, sabotage))
    for (const id of spares) world.nodes.push(this.#createNode(id, [], sabotage))
    this.#checker = new Checker({
      configuration: configurationOf(ids),
      nodes: world.nodes.map(({ node }) => node),
      nowUs: () => world.nowUs,
      drift: plan.drift
    })
    this.#replicaChecker = new ReplicaChecker({
      // The fastest clock may count it; the time of an entry is rounded down.
      horizonUs: 1_000 * (plan.callers.horizonMs / (1 + plan.drift) - 2),
      createdAtUs: (index, term) => this.#checker.createdAtUs(index, term)
    })
    const { startDeadlines, Users } = sabotage.primitives ?? productionPrimitives
    this.#users = new Users(world, this.#network, seed)
    this.#replicas = new Replicas(
      world,
      this.#network,
      this.#replicaChecker,
      sabotage.state,
      (sim, command) => {
        this.#callers.expiring(sim, command)
      },
      (context) => {
        this.#checker.readIssued(context)
      },
      this.#watches,
      this.#users,
      startDeadlines
    )
    this.#machines = new Machines(world, this.#checker, this.#leases, this.#replicas)
    this.#clients = new Clients(world, this.#checker)
    this.#callers = new Callers(world, this.#replicas)
    this.#snapshots = new Snapshots(
      world,
      this.#machines,
      this.#network,
      this.#replicas,
      sabotage.compactsEarly === true
    )
    this.#changes = new Changes(world, this.#machines, this.#network)
    this.#otherCluster = new OtherCluster(world, seed)
  }

  get trace (): TraceRecorder {
    return this.#world.trace
  }

  get nowUs (): number {
    return this.#world.nowUs
  }

  get interventions (): readonly Intervention[] {
    return this.#world.interventions.done
  }

  #createNode (id: NodeId, voters: readonly NodeId[], sabotage: Sabotage): SimNode {
    const { plan, random } = this.#world
    const config = {
      id,
      configuration: configurationOf(voters),
      heartbeatTicks: plan.heartbeatTicks,
      electionTicksMin: plan.electionTicksMin,
      electionTicksMax: plan.electionTicksMax,
      leaseTicks: plan.leaseTicks,
      seed: random.between(0, 0x7fff_ffff),
      limits: plan.limits
    }
    const clock = new NodeClock(() => this.#world.nowUs, 1 + plan.drift * (2 * random.next() - 1))
    const node = new CoreNode(config, {
      ...sabotage,
      clock,
      lease: this.#leases.portOf(id),
      listener: {
        restored: (snapshot) => { this.#replicas.restored(id, snapshot) },
        applied: (entries) => { this.#replicas.applied(id, entries) },
        readDecided: (result) => { this.#replicas.readDecided(id, result) },
        viewChanged: () => { this.#replicas.viewChanged(id) },
        configurationChanged: () => {}
      },
      send: (message) => {
        if (this.#otherCluster.has(message.to)) this.#otherCluster.receive(message)
        else this.#network.send(message)
      },
      sendSnapshot: (transfer) => {
        this.#snapshots.send(transfer)
      },
      stepped: (stepped, step, output) => {
        this.#stepped(stepped, step, output)
      }
    })
    return { node, clock, pausedUntilUs: 0, mailbox: [], isWriting: false, wal: null, isRotten: false, isLost: false }
  }

  /** Runs to the end: chaos first, then a healed majority that must make progress. */
  async run (): Promise<RunReport> {
    try {
      return await this.#run()
    } finally {
      for (const { wal } of this.#world.nodes) wal?.end()
    }
  }

  async #run (): Promise<RunReport> {
    const world = this.#world
    for (const sim of world.nodes) {
      if (world.plan.disk.isLog) sim.wal = this.#machines.createWal(sim, this.#sabotage.Storage)
      this.#machines.start(sim)
      this.#machines.scheduleTick(sim)
    }
    await world.settle()
    scheduleFaults(world, this.#machines, this.#network)
    this.#clients.start()
    this.#callers.start()
    this.#snapshots.start()
    this.#changes.start()
    this.#otherCluster.start()
    await world.runUntil(world.plan.durationUs)
    const users = this.#users
    await new Healing(world, this.#checker, this.#network, this.#machines, this.#clients, this.#callers, users).run()
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
      halts: this.#machines.halts,
      logsLost: this.#world.nodes.filter(({ isLost }) => isLost).length,
      leasesTaken: this.#leases.taken,
      suspensions: this.#watches.suspensions,
      resumptions: this.#watches.resumptions,
      commands: this.#replicaChecker.commands,
      calls: this.#callers.answered,
      callsUnknown: this.#callers.unknown,
      keyed: this.#replicaChecker.keyed,
      keyedRepeats: this.#callers.repeats,
      grants: this.#replicaChecker.grants,
      users: this.#users.report,
      snapshots: this.#snapshots.taken,
      installed: checker.installed,
      changes: checker.membership.changes,
      transfers: this.#changes.transfers,
      simulatedMs: Math.floor(this.#world.nowUs / 1_000),
      traceHash: this.trace.hash
    }
  }

  #stepped (node: CoreNode, step: Step, output: Output): void {
    const { role, term } = node.core.view
    this.#world.note(
      step.kind,
      step.kind === 'receive' ? step.message.kind : null,
      node.id,
      role,
      term,
      node.core.lastIndex,
      node.core.commitIndex
    )
    if (output.configuration !== null) {
      this.#world.note(
        'configuration',
        node.id,
        node.core.configurationIndex,
        describeConfiguration(output.configuration)
      )
    }
    this.#checker.stepped(node, step, output)
    this.#leases.stepped(node, output)
    this.#world.protocolTrace?.stepped(node, step, output)
    this.#replicas.stepped(this.#world.nodeOf(node.id))
    this.#machines.startDisk(node, output)
    if (output.committed.length > 0) this.#clients.settle(node, output.committed)
    for (const read of output.reads) this.#clients.readAnswered(read)
    this.#changes.stepped(node, step, output)
  }
}
