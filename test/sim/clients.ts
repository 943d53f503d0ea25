import type { Entry, NodeId, ReadResult } from '../../src/raft/core/index.ts'
import { encodeContent } from '../../src/raft/runtime/entry-codec.ts'
import { encodeEnvelope } from '../../src/raft/state/command-envelope.ts'
import type { CoreNode } from '../support/core-node.ts'
import type { Checker } from './checker.ts'
import { BrokenPromise } from './promise.ts'
import type { SimRandom } from './random.ts'
import type { SimNode, World } from './world.ts'

/** Commands that only load the log belong to a session that was never opened. */
const noSession = 2 ** 40

/** A command that a leader has appended. */
export interface PendingProposal {
  readonly node: CoreNode
  readonly start: number
  readonly term: number
  readonly index: number
  readonly data: Uint8Array
}

/** The load: commands and reads, and their outcomes. */
export class Clients {
  readonly #world: World
  readonly #checker: Checker
  /** By node and index: of two at the same place the earlier is lost. */
  readonly #pending = new Map<CoreNode, Map<number, PendingProposal>>()
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

  get pending (): readonly PendingProposal[] {
    return [...this.#pending.values()].flatMap((byIndex) => [...byIndex.values()])
  }

  #pendingOf (node: CoreNode): Map<number, PendingProposal> {
    const known = this.#pending.get(node)
    if (known !== undefined) return known
    const created = new Map<number, PendingProposal>()
    this.#pending.set(node, created)
    return created
  }

  start (): void {
    const {
      plan: { load }
    } = this.#world
    this.#world.repeatUntilHealed('propose', load.proposeUs, (random) => {
      this.#propose(random)
    })
    this.#world.repeatUntilHealed('read', load.readUs, (random) => {
      this.#read(random)
    })
  }

  #propose (random: SimRandom): void {
    const {
      plan: { load },
      leaders,
      up
    } = this.#world
    const candidates = leaders.length > 0 && random.chance(0.95) ? leaders : up
    if (candidates.length === 0) return
    const sim = random.pick(candidates)
    const commands = Array.from({ length: random.between(1, load.maxBatch) }, () => this.#command(random))
    this.#world.enter(sim, () => {
      this.#proposeOn(sim.node, commands)
    })
  }

  #command (random: SimRandom): Uint8Array {
    const { plan } = this.#world
    const data = new Uint8Array(random.between(4, Math.max(4, plan.load.maxCommandBytes)))
    new DataView(data.buffer).setUint32(0, this.#nextCommand++)
    return encodeEnvelope({ kind: 'command', session: noSession, sequence: 1, lowestOpen: 1, payload: data })
  }

  /** Proposes one command; null when it was not appended. */
  proposeOne (node: CoreNode): PendingProposal | null {
    return this.#proposeOn(node, [this.#command(this.#world.random)])
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
    const pending = this.#pendingOf(node)
    const added = commands.map((data, offset) => ({
      node,
      start: node.starts,
      term,
      index: firstIndex + offset,
      data
    }))
    for (const proposal of added) pending.set(proposal.index, proposal)
    const proposed = node.propose(...commands)
    if (proposed.kind === 'appended') {
      if (proposed.firstIndex !== firstIndex || proposed.term !== term) {
        throw new BrokenPromise('a proposal gets the next index', node.id)
      }
      return added.at(-1) ?? null
    }
    for (const { index } of added) pending.delete(index)
    return null
  }

  /** A node handed out committed entries: its own proposals among them are acknowledged. */
  settle (node: CoreNode, committed: readonly Entry[]): void {
    const pending = this.#pending.get(node)
    if (pending === undefined) return
    for (const entry of committed) {
      const own = pending.get(entry.index)
      if (own === undefined) continue
      pending.delete(entry.index)
      if (own.start !== node.starts || own.term !== entry.term) continue
      if (Buffer.compare(own.data, encodeContent(entry)) !== 0) {
        throw new BrokenPromise('a command stays what it was', `${node.id} at ${entry.index}`)
      }
      this.acknowledged++
      this.acknowledgedThrough = Math.max(this.acknowledgedThrough, entry.index)
    }
  }

  #read (random: SimRandom): void {
    const { up } = this.#world
    if (up.length === 0) return
    const sim = random.pick(up)
    this.#world.enter(sim, () => {
      this.#readOn(sim.node, random)
    })
  }

  #readOn (node: CoreNode, random: SimRandom): void {
    const context = this.#nextContext++
    this.#checker.readIssued(context)
    const contexts = random.chance(0.1) ? [context, context] : [context]
    node.read(contexts)
  }

  readAnswered (read: ReadResult): void {
    if (read.kind === 'confirmed') this.#finalReads.delete(read.context)
  }

  hasRead (id: NodeId): boolean {
    return this.#readers.has(id)
  }

  /** Reads on a node until a read is confirmed. */
  readUntilConfirmed (sim: SimNode): void {
    const { plan, queue } = this.#world
    if (this.hasRead(sim.node.id)) return
    this.#world.enter(sim, () => {
      const context = this.#nextContext
      this.#finalReads.set(context, sim.node.id)
      this.#readOn(sim.node, this.#world.random)
      queue.after(2 * plan.electionTicksMin * plan.tickUs, () => {
        if (!this.#finalReads.has(context)) this.#readers.add(sim.node.id)
        this.readUntilConfirmed(sim)
      })
    })
  }
}
