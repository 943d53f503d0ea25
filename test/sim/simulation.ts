import { asNodeId, configurationOf } from '../../src/raft/core/index.ts'
import type { Entry, Input, Message, NodeId, Output } from '../../src/raft/core/index.ts'
import { CoreNode } from '../support/core-node.ts'
import type { CoreConstructor } from '../support/core-node.ts'
import { BrokenPromise, Checker } from './checker.ts'
import { EventQueue } from './event-queue.ts'
import type { SimPlan } from './plan.ts'
import type { SimRandom } from './random.ts'
import { TraceRecorder } from './trace.ts'

/** A deliberately broken driver or network: what a simulator must notice. */
export interface Sabotage {
  readonly core?: CoreConstructor
  readonly releasesEarly?: (message: Message) => boolean
  readonly leaseFromAnswer?: boolean
}

interface SimNode {
  readonly node: CoreNode
  /** Speed of this node's clock. */
  readonly rate: number
  pausedUntilUs: number
  mailbox: Array<() => void>
  isWriting: boolean
}

interface PendingProposal {
  readonly node: CoreNode
  readonly start: number
  readonly term: number
  readonly index: number
  readonly data: Uint8Array
}

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
  readonly simulatedMs: number
  readonly traceHash: string
}

/** One cluster over a simulated network, disk and clock. Everything in it follows from the plan and the random source. */
export class Simulation {
  readonly plan: SimPlan
  readonly #random: SimRandom
  readonly #queue = new EventQueue()
  readonly #nodes: SimNode[]
  readonly #checker: Checker
  readonly trace: TraceRecorder
  /** Directed links that carry nothing, as `from>to`. */
  readonly #cut = new Set<string>()
  readonly #pending: PendingProposal[] = []
  #acknowledgedThrough = 0
  #acknowledged = 0
  #nextCommand = 1
  #nextContext = 1
  #crashes = 0
  #events = 0
  #isHealed = false
  /** Contexts of the reads that must be confirmed after healing. */
  readonly #finalReads = new Map<number, NodeId>()

  constructor (plan: SimPlan, random: SimRandom, sabotage: Sabotage, keepTrace: boolean) {
    this.plan = plan
    this.#random = random
    this.trace = new TraceRecorder(keepTrace)
    const ids = Array.from({ length: plan.size }, (_, position) => asNodeId(`n${position + 1}`))
    this.#nodes = ids.map((id) => this.#createNode(id, ids, sabotage))
    const rates = new Map(this.#nodes.map(({ node, rate }) => [node.id, rate]))
    this.#checker = new Checker({
      leaseFromAnswer: sabotage.leaseFromAnswer === true,
      nodes: this.#nodes.map(({ node }) => node),
      nowUs: () => this.#queue.nowUs,
      // The leader's clock may be the slowest and the followers' clocks the fastest: the driver divides by both.
      leaseUs: (id) => Math.floor((plan.electionTicksMin - 1) * plan.tickUs * (1 - plan.drift) / (1 + plan.drift) / (rates.get(id) ?? 1))
    })
  }

  #createNode (id: NodeId, voters: readonly NodeId[], sabotage: Sabotage): SimNode {
    const { plan } = this
    const config = {
      id,
      configuration: configurationOf(voters),
      heartbeatTicks: plan.heartbeatTicks,
      electionTicksMin: plan.electionTicksMin,
      electionTicksMax: plan.electionTicksMax,
      seed: this.#random.between(0, 0x7fff_ffff),
      limits: plan.limits
    }
    const node = new CoreNode(config, {
      ...sabotage,
      wallMs: () => Math.floor(this.#queue.nowUs / 1_000),
      send: (message) => { this.#send(message) },
      stepped: (stepped, input, output) => { this.#stepped(stepped, input, output) }
    })
    const rate = 1 + plan.drift * (2 * this.#random.next() - 1)
    return { node, rate, pausedUntilUs: 0, mailbox: [], isWriting: false }
  }

  /** Runs to the end: chaos first, then a healed majority that must make progress. */
  run (): RunReport {
    for (const sim of this.#nodes) {
      this.#start(sim)
      this.#scheduleTick(sim)
    }
    this.#scheduleFaults()
    this.#repeatUntilHealed(this.plan.load.proposeUs, () => { this.#propose() })
    this.#repeatUntilHealed(this.plan.load.readUs, () => { this.#read() })
    this.#runUntil(this.plan.durationUs)
    this.#heal()
    return {
      size: this.plan.size,
      events: this.#events,
      elections: this.#checker.elections,
      committed: this.#checker.committed.length,
      acknowledged: this.#acknowledged,
      readsConfirmed: this.#checker.readsConfirmed,
      crashes: this.#crashes,
      leasesTaken: this.#checker.leasesTaken,
      simulatedMs: Math.floor(this.#queue.nowUs / 1_000),
      traceHash: this.trace.hash
    }
  }

  get nowUs (): number { return this.#queue.nowUs }

  #runUntil (endUs: number, isDone: () => boolean = () => false): boolean {
    while (!isDone()) {
      if (!this.#queue.runNext(endUs)) return isDone()
      this.#events++
    }
    return true
  }

  /** Runs something again and again, on average once per `meanUs`. */
  #repeat (meanUs: number, run: () => void): void {
    if (meanUs === 0) return
    this.#queue.after(this.#random.between(1, 2 * meanUs), () => {
      run()
      this.#repeat(meanUs, run)
    })
  }

  #repeatUntilHealed (meanUs: number, run: () => void): void {
    this.#repeat(meanUs, () => { if (!this.#isHealed) run() })
  }

  #note (...parts: ReadonlyArray<string | number | null>): void {
    this.trace.note(this.#queue.nowUs, parts)
  }

  // Nodes

  #start (sim: SimNode): void {
    this.#note('start', sim.node.id)
    sim.pausedUntilUs = 0
    sim.mailbox = []
    sim.isWriting = false
    sim.node.start()
    this.#checker.started(sim.node)
  }

  #scheduleTick (sim: SimNode): void {
    this.#queue.after(Math.round(this.plan.tickUs / sim.rate), () => {
      // A stalled event loop loses ticks: a timer does not make up for them.
      if (sim.node.isUp && sim.pausedUntilUs <= this.#queue.nowUs) sim.node.tick()
      this.#scheduleTick(sim)
    })
  }

  /** Hands something to a node, now or when its event loop runs again; never to a later start of it. */
  #enter (sim: SimNode, run: () => void): void {
    if (!sim.node.isUp) return
    if (sim.pausedUntilUs > this.#queue.nowUs) sim.mailbox.push(run)
    else run()
  }

  #crash (sim: SimNode): void {
    const { node } = sim
    if (!node.isUp) return
    const completeWrites = this.#random.chance(0.5) ? 0 : this.#random.between(0, node.pendingWrites.length)
    const tornEntries = this.#random.chance(0.5) ? null : this.#random.between(0, 3)
    this.#note('crash', node.id, completeWrites, tornEntries)
    this.#crashes++
    node.crash({ completeWrites, tornEntries })
    this.#checker.crashed(node)
  }

  #pause (sim: SimNode, forUs: number): void {
    if (!sim.node.isUp || sim.pausedUntilUs > this.#queue.nowUs) return
    this.#note('pause', sim.node.id, forUs)
    const { starts } = sim.node
    sim.pausedUntilUs = this.#queue.nowUs + forUs
    this.#queue.after(forUs, () => {
      if (!sim.node.isUp || sim.node.starts !== starts) return
      const { mailbox } = sim
      sim.mailbox = []
      for (const run of mailbox) run()
    })
  }

  // What a step of a node causes

  #stepped (node: CoreNode, input: Input, output: Output): void {
    const { role, term } = node.core.view
    this.#note(input.kind, input.kind === 'receive' ? input.message.kind : null, node.id, role, term, node.core.lastIndex, node.core.commitIndex)
    this.#checker.stepped(node, input, output)
    this.#startDisk(node)
    if (output.committed.length > 0) this.#settleProposals(node, output.committed)
    for (const read of output.reads) if (read.kind === 'confirmed') this.#finalReads.delete(read.context)
  }

  /** The disk takes all waiting writes as one group; the next group starts when it is done. */
  #startDisk (node: CoreNode): void {
    const sim = this.#simOf(node.id)
    const { starts } = node
    if (sim.isWriting || node.pendingWrites.length === 0) return
    sim.isWriting = true
    const count = node.pendingWrites.length
    this.#queue.after(this.#writeUs(), () => {
      if (node.starts !== starts) return
      this.#enter(sim, () => {
        sim.isWriting = false
        node.persist(this.#random.between(1, count))
        this.#startDisk(node)
      })
    })
  }

  #writeUs (): number {
    const { disk } = this.plan
    if (this.#isHealed) return this.#random.between(0, 500)
    const stallUs = this.#random.chance(disk.stalls) ? disk.stallUs : 0
    return this.#random.between(disk.minUs, Math.max(disk.minUs, disk.maxUs)) + stallUs
  }

  #settleProposals (node: CoreNode, committed: readonly Entry[]): void {
    const open = this.#pending.filter((pending) => pending.node === node)
    for (const entry of committed) {
      const own = open.find((pending) => pending.index === entry.index && pending.start === node.starts)
      if (own === undefined) continue
      this.#pending.splice(this.#pending.indexOf(own), 1)
      if (own.term !== entry.term) continue
      if (Buffer.compare(own.data, entry.data) !== 0) throw new BrokenPromise('a command stays what it was', `${node.id} at ${entry.index}`)
      this.#acknowledged++
      this.#acknowledgedThrough = Math.max(this.#acknowledgedThrough, entry.index)
    }
  }

  #send (message: Message): void {
    const { network } = this.plan
    const random = this.#random
    if (this.#isHealed) {
      if (!this.#isCut(message)) this.#deliverAfter(message, random.between(50, 1_000))
      return
    }
    if (this.#isCut(message) || random.chance(network.loss)) {
      this.#note('lost', message.kind, message.from, message.to)
      if (random.chance(network.lossReports)) this.#reportLoss(message)
      return
    }
    const copies = random.chance(network.duplication) ? 2 : 1
    for (let copy = 0; copy < copies; copy++) {
      const strays = random.chance(network.strays)
      const longestUs = strays ? network.strayUs : Math.max(network.delayMinUs, network.delayMaxUs)
      this.#deliverAfter(message, random.between(network.delayMinUs, Math.max(network.delayMinUs, longestUs)))
    }
  }

  #reportLoss (message: Message): void {
    const sender = this.#simOf(message.from)
    const { starts } = sender.node
    this.#queue.after(this.#random.between(50, this.plan.tickUs), () => {
      if (sender.node.starts === starts) this.#enter(sender, () => { sender.node.step({ kind: 'unreachable', peer: message.to }) })
    })
  }

  #deliverAfter (message: Message, delayUs: number): void {
    this.#queue.after(delayUs, () => {
      const receiver = this.#simOf(message.to)
      if (!this.#isCut(message)) this.#enter(receiver, () => { receiver.node.receive(message) })
    })
  }

  #isCut ({ from, to }: Message): boolean { return this.#cut.has(`${from}>${to}`) }

  #simOf (id: NodeId): SimNode {
    const sim = this.#nodes.find(({ node }) => node.id === id)
    if (sim === undefined) throw new Error(`no node ${id}`)
    return sim
  }

  // Load

  #propose (): void {
    const { load } = this.plan
    const leaders = this.#nodes.filter((sim) => sim.node.isUp && sim.node.core.view.role === 'leader')
    const up = this.#nodes.filter((sim) => sim.node.isUp)
    const candidates = leaders.length > 0 && this.#random.chance(0.95) ? leaders : up
    if (candidates.length === 0) return
    const sim = this.#random.pick(candidates)
    const commands = Array.from({ length: this.#random.between(1, load.maxBatch) }, () => this.#command())
    this.#enter(sim, () => { this.#proposeOn(sim.node, commands) })
  }

  #command (): Uint8Array {
    const data = new Uint8Array(this.#random.between(4, Math.max(4, this.plan.load.maxCommandBytes)))
    new DataView(data.buffer).setUint32(0, this.#nextCommand++)
    return data
  }

  /** Returns the last of the proposals when they were appended. */
  #proposeOn (node: CoreNode, commands: readonly Uint8Array[]): PendingProposal | null {
    // Noted before the step: a sole voter could commit within it.
    const firstIndex = node.core.lastIndex + 1
    const { term, role } = node.core.view
    if (role !== 'leader') {
      node.propose(...commands)
      return null
    }
    commands.forEach((data, offset) => {
      this.#pending.push({ node, start: node.starts, term, index: firstIndex + offset, data })
    })
    const last = this.#pending.at(-1) ?? null
    const { proposed } = node.propose(...commands)
    if (proposed?.kind === 'appended') {
      if (proposed.firstIndex !== firstIndex || proposed.term !== term) throw new BrokenPromise('a proposal gets the next index', node.id)
      return last
    }
    this.#pending.splice(this.#pending.length - commands.length, commands.length)
    return null
  }

  #read (): void {
    const up = this.#nodes.filter((sim) => sim.node.isUp)
    if (up.length === 0) return
    const sim = this.#random.pick(up)
    this.#enter(sim, () => { this.#readOn(sim.node) })
  }

  #readOn (node: CoreNode): number {
    const context = this.#nextContext++
    this.#checker.readIssued(context)
    const contexts = this.#random.chance(0.1) ? [context, context] : [context]
    node.step({ kind: 'read', contexts })
    return context
  }

  // Faults

  #scheduleFaults (): void {
    const { faults } = this.plan
    this.#repeatUntilHealed(faults.crashUs, () => { this.#crashAndRestart(this.#random.pick(this.#nodes)) })
    this.#repeatUntilHealed(faults.massCrashUs, () => { for (const sim of this.#nodes) this.#crashAndRestart(sim) })
    this.#repeatUntilHealed(faults.partitionUs, () => { this.#partition() })
    this.#repeatUntilHealed(faults.pauseUs, () => { this.#pause(this.#random.pick(this.#nodes), this.#random.between(1, faults.pausedUs)) })
    this.#repeatUntilHealed(faults.stepDownUs, () => { this.#poke({ kind: 'step-down' }) })
    this.#repeatUntilHealed(faults.campaignUs, () => { this.#poke({ kind: 'campaign' }) })
    this.#repeatUntilHealed(faults.transferUs, () => { this.#transfer() })
  }

  #crashAndRestart (sim: SimNode): void {
    if (!sim.node.isUp) return
    this.#crash(sim)
    this.#queue.after(this.#random.between(1, this.plan.faults.downUs), () => {
      if (!sim.node.isUp && !this.#isHealed) this.#start(sim)
    })
  }

  #poke (input: Input): void {
    const sim = this.#random.pick(this.#nodes)
    this.#enter(sim, () => { sim.node.step(input) })
  }

  #transfer (): void {
    const leaders = this.#nodes.filter((sim) => sim.node.isUp && sim.node.core.view.role === 'leader')
    if (leaders.length === 0) return
    const sim = this.#random.pick(leaders)
    const to = this.#random.chance(0.3) ? null : this.#random.pick(this.#nodes).node.id
    this.#enter(sim, () => { sim.node.step({ kind: 'transfer', to }) })
  }

  #partition (): void {
    const ids = this.#random.shuffled(this.#nodes.map(({ node }) => node.id))
    const links: string[] = []
    const cut = (from: NodeId | undefined, to: NodeId | undefined): void => {
      if (from !== undefined && to !== undefined && from !== to) links.push(`${from}>${to}`)
    }
    const size = this.#random.between(1, ids.length)
    const isOneWay = this.#random.chance(0.3)
    if (this.#random.chance(0.2)) {
      // A bridge: two nodes that do not see each other, everybody else sees both.
      cut(ids[0], ids[1])
      if (!isOneWay) cut(ids[1], ids[0])
    } else {
      for (const inside of ids.slice(0, size)) {
        for (const outside of ids.slice(size)) {
          cut(inside, outside)
          if (!isOneWay) cut(outside, inside)
        }
      }
    }
    this.#note('cut', links.join(' '))
    for (const link of links) this.#cut.add(link)
    this.#queue.after(this.#random.between(1, this.plan.faults.partitionedUs), () => {
      if (!this.#isHealed) for (const link of links) this.#cut.delete(link)
    })
  }

  // The end: liveness

  #heal (): void {
    const { plan } = this
    this.#isHealed = true
    this.#cut.clear()
    const healed = this.#random.shuffled(this.#nodes).slice(0, this.#random.between(Math.floor(plan.size / 2) + 1, plan.size))
    this.#note('heal', healed.map(({ node }) => node.id).join(' '))
    for (const sim of this.#nodes) {
      if (!healed.includes(sim)) this.#crash(sim)
      else if (!sim.node.isUp) this.#start(sim)
    }
    const limitUs = this.#queue.nowUs + plan.faults.pausedUs + plan.disk.stallUs + plan.network.strayUs + 60 * plan.electionTicksMax * plan.tickUs
    const undecided = [...this.#pending]
    let marker: PendingProposal | null = null
    this.#requireProgress('a command is committed on every node', limitUs, () => {
      // A leader may still be replaced because of what was on its way, and then its command may be lost.
      if (marker === null || this.#isLost(marker)) marker = this.#proposeOnLeader(healed)
      const last = marker
      return last !== null && healed.every(({ node }) => node.core.commitIndex >= last.index) && !this.#isLost(last)
    })
    for (const sim of healed) this.#repeatFinalRead(sim)
    this.#requireProgress('every node reads', limitUs, () => healed.every(({ node }) => this.#hasRead(node.id)))
    this.#requireProgress('every proposal is decided', limitUs, () => undecided.every((pending) => this.#isDecided(pending)))
    if (this.#acknowledgedThrough > this.#checker.committed.length) throw new BrokenPromise('acknowledged means committed', `${this.#acknowledgedThrough}`)
  }

  readonly #readers = new Set<NodeId>()
  #hasRead (id: NodeId): boolean { return this.#readers.has(id) }

  #repeatFinalRead (sim: SimNode): void {
    if (this.#hasRead(sim.node.id)) return
    this.#enter(sim, () => {
      const context = this.#nextContext
      this.#finalReads.set(context, sim.node.id)
      this.#readOn(sim.node)
      this.#queue.after(2 * this.plan.electionTicksMin * this.plan.tickUs, () => {
        if (!this.#finalReads.has(context)) this.#readers.add(sim.node.id)
        this.#repeatFinalRead(sim)
      })
    })
  }

  #proposeOnLeader (sims: readonly SimNode[]): PendingProposal | null {
    const leader = sims.find(({ node }) => node.core.view.role === 'leader' && node.core.commitIndex >= (node.core.leadershipIndex ?? Infinity))
    return leader === undefined ? null : this.#proposeOn(leader.node, [this.#command()])
  }

  #isLost ({ node, index, term }: PendingProposal): boolean { return node.log[index - 1]?.term !== term }

  #isDecided ({ node, start, index, term }: PendingProposal): boolean {
    return !node.isUp || node.starts !== start || node.core.commitIndex >= index || node.log[index - 1]?.term !== term
  }

  #requireProgress (what: string, limitUs: number, isDone: () => boolean): void {
    if (!this.#runUntil(limitUs, isDone)) throw new BrokenPromise('liveness', `no progress after healing: ${what}`)
  }
}
