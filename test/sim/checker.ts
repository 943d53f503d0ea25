import type { Configuration, Entry, HardState, Input, NodeId, Output } from '../../src/raft/core/index.ts'
import type { CoreNode } from '../support/core-node.ts'
import { MembershipChecker } from './membership-checker.ts'
import { BrokenPromise } from './promise.ts'

interface CommittedEntry {
  readonly entry: Entry
  /** Term in which it was first seen to be committed: that of the leader which committed it. */
  readonly inTerm: number
}

interface Lease {
  readonly term: number
  readonly starts: Map<number, number>
  /** True time until which no other node may become leader. */
  untilUs: number
}

interface NodeRecord {
  lease: Lease | null
  leadsTerm: number | null
  handedOut: number
  starts: number
  durable: HardState
}

/** What the checker has to know about the world outside the nodes. */
export interface CheckerContext {
  readonly nodes: readonly CoreNode[]
  /** What the first members start with. */
  readonly configuration: Configuration
  nowUs: () => number
  /** Length of the lease in true time that the driver's formula gives on this node. */
  leaseUs: (id: NodeId) => number
  /** Measures the lease wrongly: a driver's mistake to be noticed. */
  readonly leaseFromAnswer: boolean
}

const sameEntry = (left: Entry, right: Entry): boolean =>
  left.index === right.index && left.term === right.term && left.kind === right.kind && left.timeMs === right.timeMs &&
  Buffer.compare(left.data, right.data) === 0

/**
 * Watches a whole cluster from outside and throws {@link BrokenPromise} at the first event that breaks one of Raft's
 * properties (paper figure 3), a promise about a disk, the freshness of a read, or the lease rule.
 */
export class Checker {
  readonly #context: CheckerContext
  readonly #records = new Map<NodeId, NodeRecord>()
  readonly #leaders = new Map<number, NodeId>()
  /** Every entry ever created by a leader, with the term before it: by index and term. */
  readonly #created = new Map<string, { readonly entry: Entry, readonly previousTerm: number }>()
  readonly committed: CommittedEntry[] = []
  readonly membership: MembershipChecker
  /** Freshness that each open read must reach, by context. */
  readonly #reads = new Map<number, number>()
  readsConfirmed = 0
  readsRefused = 0
  leasesTaken = 0
  elections = 0

  constructor (context: CheckerContext) {
    this.#context = context
    this.membership = new MembershipChecker(context.configuration, (index) => this.committed[index - 1]?.entry)
  }

  started (node: CoreNode): void {
    const known = this.#records.get(node.id)
    const durable = node.disk.hardState
    this.#records.set(node.id, { lease: null, leadsTerm: null, handedOut: 0, starts: node.starts, durable })
    if (known !== undefined) this.#checkDurable(node.id, known.durable, durable)
    this.membership.remember(node)
  }

  crashed (node: CoreNode): void {
    const record = this.#record(node.id)
    record.lease = null
    record.leadsTerm = null
    this.#checkDisk(node)
  }

  /** A read is issued: it must see everything that any node knows to be committed by now. */
  readIssued (context: number): void {
    this.#reads.set(context, this.committed.length)
  }

  /** Checks one step of one node. */
  stepped (node: CoreNode, input: Input, output: Output): void {
    if (output.violation !== null) throw new BrokenPromise('no correct peer is refused', `${node.id}: ${output.violation}`)
    const created = this.#checkWrite(node, output.write?.entries ?? [])
    if (output.write?.hardState != null) this.membership.voted(node, output.write.hardState)
    if (input.kind === 'persisted') this.#checkDisk(node)
    if (output.committed.length > 0) this.#checkCommitted(node, output.committed)
    // After the commits of this step: one of them may be what this configuration had to wait for.
    for (const entry of created) this.membership.created(node, entry)
    if (output.view !== null) this.#checkView(node, input)
    this.membership.checkToken(node)
    this.#followLease(node, output)
    for (const read of output.reads) this.#checkRead(node, read)
    this.membership.remember(node)
  }

  #record (id: NodeId): NodeRecord {
    const record = this.#records.get(id)
    if (record === undefined) throw new Error(`${id} never started`)
    return record
  }

  /** Returns the configurations that this node created, as no other had them before. */
  #checkWrite (node: CoreNode, entries: readonly Entry[]): readonly Entry[] {
    const created: Entry[] = []
    const first = entries[0]
    if (first === undefined) return created
    const leads = this.#record(node.id).leadsTerm
    let previousTerm = first.index === 1 ? 0 : node.log[first.index - 2]?.term ?? 0
    for (const entry of entries) {
      const key = `${entry.index}:${entry.term}`
      const known = this.#created.get(key)
      if (known === undefined) {
        this.#created.set(key, { entry, previousTerm })
        if (entry.kind === 'configuration') created.push(entry)
      } else {
        if (!sameEntry(known.entry, entry)) throw new BrokenPromise('log matching', `${node.id} holds another entry at ${key}`)
        if (known.previousTerm !== previousTerm) {
          throw new BrokenPromise('log matching', `${node.id} holds term ${previousTerm} before ${key}, others ${known.previousTerm}`)
        }
        if (leads === entry.term) throw new BrokenPromise('leader append-only', `${node.id} rewrites ${key} in its own term`)
      }
      const committed = this.committed[entry.index - 1]
      if (committed !== undefined && committed.inTerm < node.core.view.term && committed.entry.term !== entry.term) {
        throw new BrokenPromise('committed entries stay', `${node.id} replaces committed ${entry.index} by term ${entry.term}`)
      }
      previousTerm = entry.term
    }
    return created
  }

  #checkDurable (id: NodeId, before: HardState, after: HardState): void {
    if (after.term < before.term) throw new BrokenPromise('no regress of durable state', `${id}: term ${before.term} to ${after.term}`)
    if (after.commit < before.commit) throw new BrokenPromise('no regress of durable state', `${id}: commit ${before.commit} to ${after.commit}`)
    if (after.term === before.term && before.vote !== null && after.vote !== before.vote) {
      throw new BrokenPromise('one vote in a term', `${id}: ${before.vote} to ${String(after.vote)} in ${after.term}`)
    }
  }

  #checkDisk (node: CoreNode): void {
    const record = this.#record(node.id)
    const { hardState, entries } = node.disk
    this.#checkDurable(node.id, record.durable, hardState)
    if (hardState.commit > entries.length) throw new BrokenPromise('recoverable disk', `${node.id}: commit past the end of the log`)
    if (hardState.term < (entries.at(-1)?.term ?? 0)) throw new BrokenPromise('recoverable disk', `${node.id}: entries newer than the term`)
    record.durable = hardState
  }

  #checkCommitted (node: CoreNode, entries: readonly Entry[]): void {
    const record = this.#record(node.id)
    const inTerm = node.core.view.term
    for (const entry of entries) {
      if (entry.index !== record.handedOut + 1) throw new BrokenPromise('applied in order, once', `${node.id}: ${entry.index} after ${record.handedOut}`)
      record.handedOut = entry.index
      const known = this.committed[entry.index - 1]
      if (known === undefined) this.#commit(node, entry, inTerm)
      else if (!sameEntry(known.entry, entry)) {
        throw new BrokenPromise('state machine safety', `${node.id} applies term ${entry.term} at ${entry.index}, others ${known.entry.term}`)
      }
    }
  }

  #commit (node: CoreNode, entry: Entry, inTerm: number): void {
    const holders = this.#context.nodes.filter((other) => other.disk.entries[entry.index - 1]?.term === entry.term)
    this.membership.committed(node, entry, new Set(holders.map(({ id }) => id)))
    this.committed.push({ entry, inTerm })
    for (const other of this.#context.nodes) {
      const leads = this.#record(other.id).leadsTerm
      if (leads !== null && leads > inTerm) this.#checkHolds(other, { entry, inTerm })
    }
  }

  #checkHolds (leader: CoreNode, { entry, inTerm }: CommittedEntry): void {
    if (leader.log[entry.index - 1]?.term === entry.term) return
    throw new BrokenPromise('leader completeness', `${leader.id} leads without ${entry.index}, committed in term ${inTerm}`)
  }

  #checkView (node: CoreNode, input: Input): void {
    const record = this.#record(node.id)
    const { role, term } = node.core.view
    if (role !== 'leader') {
      if (record.leadsTerm !== null) this.membership.deposed(node, input)
      record.leadsTerm = null
      record.lease = null
      return
    }
    const known = this.#leaders.get(term)
    if (known !== undefined && known !== node.id) throw new BrokenPromise('election safety', `${known} and ${node.id} lead term ${term}`)
    this.#leaders.set(term, node.id)
    if (record.leadsTerm === term) return
    this.elections++
    this.membership.elected(node, term)
    record.leadsTerm = term
    record.lease = { term, starts: new Map(), untilUs: 0 }
    for (const committed of this.committed) if (committed.inTerm < term) this.#checkHolds(node, committed)
    this.#checkNoLeaseButOf(node)
  }

  #checkNoLeaseButOf (node: CoreNode): void {
    const now = this.#context.nowUs()
    for (const other of this.#context.nodes) {
      const lease = this.#records.get(other.id)?.lease
      if (other === node || lease === null || lease === undefined || lease.untilUs <= now) continue
      // Grants that took their time can still elect somebody in an earlier term; no quorum will ever answer it.
      if (node.core.view.term < lease.term && (this.#record(node.id).lease?.untilUs ?? 0) <= now) continue
      throw new BrokenPromise('one lease', `${node.id} leads while the lease of ${other.id} runs for another ${lease.untilUs - now} us`)
    }
  }

  #followLease (node: CoreNode, output: Output): void {
    const { lease } = this.#record(node.id)
    if (lease === null) return
    if (output.roundStarted !== null) lease.starts.set(output.roundStarted, this.#context.nowUs())
    if (node.core.leadershipIndex === null) {
      // Another node was told to take over: the driver counts this one as leader no longer.
      lease.untilUs = 0
      return
    }
    if (output.roundConfirmed === null) return
    const { roundConfirmed } = output
    // As the driver does: of two rounds started in one step only the later is announced, and the one before it counts.
    const start = [...lease.starts].filter(([round]) => round <= roundConfirmed).at(-1)?.[1]
    if (start === undefined) throw new BrokenPromise('rounds are announced', `${node.id}: round ${roundConfirmed} was never started`)
    for (const [round, atUs] of lease.starts) if (round < roundConfirmed && atUs < start) lease.starts.delete(round)
    lease.untilUs = (this.#context.leaseFromAnswer ? this.#context.nowUs() : start) + this.#context.leaseUs(node.id)
    this.leasesTaken++
    if (lease.untilUs > this.#context.nowUs()) this.#checkNoLeaseButOf(node)
  }

  #checkRead (node: CoreNode, read: Output['reads'][number]): void {
    if (read.kind === 'refused') {
      this.readsRefused++
      return
    }
    const floor = this.#reads.get(read.context)
    if (floor === undefined) throw new BrokenPromise('answered reads were asked', `${node.id}: context ${read.context}`)
    if (read.index < floor) throw new BrokenPromise('linearizable reads', `${node.id} may read at ${read.index} after ${floor} was committed`)
    this.readsConfirmed++
  }
}
