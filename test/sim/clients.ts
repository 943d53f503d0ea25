import type { Entry, NodeId, ReadResult } from '../../src/raft/core/index.ts'
import type { CoreNode } from '../support/core-node.ts'
import type { Checker } from './checker.ts'
import { BrokenPromise } from './promise.ts'
import type { SimNode, World } from './world.ts'

/** A command that a leader has appended. */
export interface PendingProposal {
  readonly node: CoreNode
  readonly start: number
  readonly term: number
  readonly index: number
  readonly data: Uint8Array
}

/** The load: commands and reads, and what became of them. */
export class Clients {
  readonly #world: World
  readonly #checker: Checker
  readonly #pending: PendingProposal[] = []
  #nextCommand = 1
  #nextContext = 1
  acknowledged = 0
  acknowledgedThrough = 0
  /** Contexts of the reads that must be confirmed after healing. */
  readonly #finalReads = new Map<number, NodeId>()
  readonly #readers = new Set<NodeId>()

  constructor (world: World, checker: Checker) {
    this.#world = world
    this.#checker = checker
  }

  get pending (): readonly PendingProposal[] { return this.#pending }

  start (): void {
    const { plan: { load } } = this.#world
    this.#world.repeatUntilHealed(load.proposeUs, () => { this.#propose() })
    this.#world.repeatUntilHealed(load.readUs, () => { this.#read() })
  }

  #propose (): void {
    const { plan: { load }, random, leaders, up } = this.#world
    const candidates = leaders.length > 0 && random.chance(0.95) ? leaders : up
    if (candidates.length === 0) return
    const sim = random.pick(candidates)
    const commands = Array.from({ length: random.between(1, load.maxBatch) }, () => this.#command())
    this.#world.enter(sim, () => { this.#proposeOn(sim.node, commands) })
  }

  #command (): Uint8Array {
    const { random, plan } = this.#world
    const data = new Uint8Array(random.between(4, Math.max(4, plan.load.maxCommandBytes)))
    new DataView(data.buffer).setUint32(0, this.#nextCommand++)
    return data
  }

  /** Proposes one command; null when it was not appended. */
  proposeOne (node: CoreNode): PendingProposal | null {
    return this.#proposeOn(node, [this.#command()])
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
    const added = this.#pending.slice(-commands.length)
    const { proposed } = node.propose(...commands)
    if (proposed?.kind === 'appended') {
      if (proposed.firstIndex !== firstIndex || proposed.term !== term) throw new BrokenPromise('a proposal gets the next index', node.id)
      return added.at(-1) ?? null
    }
    this.#pending.splice(this.#pending.length - commands.length, commands.length)
    return null
  }

  /** A node handed out committed entries: its own proposals among them are acknowledged. */
  settle (node: CoreNode, committed: readonly Entry[]): void {
    const open = this.#pending.filter((pending) => pending.node === node)
    for (const entry of committed) {
      const own = open.find((pending) => pending.index === entry.index && pending.start === node.starts)
      if (own === undefined) continue
      this.#pending.splice(this.#pending.indexOf(own), 1)
      if (own.term !== entry.term) continue
      if (Buffer.compare(own.data, entry.data) !== 0) throw new BrokenPromise('a command stays what it was', `${node.id} at ${entry.index}`)
      this.acknowledged++
      this.acknowledgedThrough = Math.max(this.acknowledgedThrough, entry.index)
    }
  }

  #read (): void {
    const { up, random } = this.#world
    if (up.length === 0) return
    const sim = random.pick(up)
    this.#world.enter(sim, () => { this.#readOn(sim.node) })
  }

  #readOn (node: CoreNode): void {
    const context = this.#nextContext++
    this.#checker.readIssued(context)
    const contexts = this.#world.random.chance(0.1) ? [context, context] : [context]
    node.step({ kind: 'read', contexts })
  }

  readAnswered (read: ReadResult): void {
    if (read.kind === 'confirmed') this.#finalReads.delete(read.context)
  }

  hasRead (id: NodeId): boolean { return this.#readers.has(id) }

  /** Reads on a node until a read is confirmed. */
  readUntilConfirmed (sim: SimNode): void {
    const { plan, queue } = this.#world
    if (this.hasRead(sim.node.id)) return
    this.#world.enter(sim, () => {
      const context = this.#nextContext
      this.#finalReads.set(context, sim.node.id)
      this.#readOn(sim.node)
      queue.after(2 * plan.electionTicksMin * plan.tickUs, () => {
        if (!this.#finalReads.has(context)) this.#readers.add(sim.node.id)
        this.readUntilConfirmed(sim)
      })
    })
  }
}
