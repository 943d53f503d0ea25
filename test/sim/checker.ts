import type {
  Configuration,
  ConfigurationEntry,
  Entry,
  HardState,
  NodeId,
  Output,
  SnapshotPoint
} from '../../src/raft/core/index.ts'
import { encodeContent } from '../../src/raft/runtime/entry-codec.ts'
import type { CoreNode, Step } from '../support/core-node.ts'
import { entriesOf } from '../support/core-node.ts'
import { MembershipChecker } from './membership-checker.ts'
import { BrokenPromise } from './promise.ts'

interface CommittedEntry {
  readonly entry: Entry
  /** Term in which it was first seen to be committed: that of the leader which committed it. */
  readonly inTerm: number
}

interface NodeRecord {
  leadsTerm: number | null
  handedOut: number
  starts: number
  durable: HardState
}

/** The surroundings of the nodes that the checker needs. */
export interface CheckerContext {
  readonly nodes: readonly CoreNode[]
  /** The configuration of the first members. */
  readonly configuration: Configuration
  readonly nowUs: () => number
  /** Clocks run at a rate within 1 ± this. */
  readonly drift: number
}

/** An entry that a leader appended. */
interface CreatedEntry {
  readonly entry: Entry
  readonly previousTerm: number
  readonly atUs: number
}

/** Stamps are whole milliseconds. */
const roundingMs = 2

function sameEntry (left: Entry, right: Entry): boolean {
  return (
    left.index === right.index &&
    left.term === right.term &&
    left.kind === right.kind &&
    left.timeMs === right.timeMs &&
    Buffer.compare(encodeContent(left), encodeContent(right)) === 0
  )
}

/**
 * Watches a whole cluster from outside and throws {@link BrokenPromise} at the first event that breaks one of Raft's
 * properties (paper figure 3), a promise about a disk, or the freshness of a read.
 */
export class Checker {
  readonly #context: CheckerContext
  readonly #records = new Map<NodeId, NodeRecord>()
  readonly #leaders = new Map<number, NodeId>()
  /** Every entry ever created by a leader, with the term before it: by index and term. */
  readonly #created = new Map<string, CreatedEntry>()
  readonly committed: CommittedEntry[] = []
  readonly membership: MembershipChecker
  /** Freshness that each open read must reach, by context. */
  readonly #reads = new Map<number, number>()
  installed = 0
  readsConfirmed = 0
  readsRefused = 0
  elections = 0

  constructor (context: CheckerContext) {
    this.#context = context
    this.membership = new MembershipChecker(context.configuration, (index) => this.committed[index - 1]?.entry)
  }

  started (node: CoreNode): void {
    const known = this.#records.get(node.id)
    const durable = node.disk.hardState
    this.#records.set(node.id, {
      leadsTerm: null,
      handedOut: node.disk.snapshot?.point.index ?? 0,
      starts: node.starts,
      durable
    })
    if (known !== undefined) this.#checkDurable(node.id, known.durable, durable)
    this.membership.remember(node)
  }

  crashed (node: CoreNode): void {
    const record = this.#record(node.id)
    record.leadsTerm = null
    this.#checkDisk(node)
  }

  /** A read is issued: it must see everything that any node knows to be committed by now. */
  readIssued (context: number): void {
    this.#reads.set(context, this.committed.length)
  }

  /** Checks one step of one node. */
  stepped (node: CoreNode, step: Step, output: Output): void {
    if ('violation' in step && step.violation !== null && !this.#isOfOtherCluster(step)) {
      throw new BrokenPromise('no correct peer is refused', `${node.id}: ${step.violation.message}`)
    }
    const created = this.#checkWrite(node, entriesOf(output))
    if (output.write?.hardState != null) this.membership.voted(node, output.write.hardState)
    if (step.kind === 'persisted') this.#checkDisk(node)
    if (output.installed !== null) this.#checkInstalled(node, output.installed.snapshot)
    if (output.committed.length > 0) this.#checkCommitted(node, output.committed)
    // After the commits of this step: this configuration may have had to wait for one of them.
    for (const entry of created) this.membership.created(node, entry)
    if (output.view !== null) this.#checkView(node, step)
    this.membership.checkToken(node)
    for (const read of output.reads) this.#checkRead(node, read)
    this.membership.remember(node)
  }

  /** Refused as it should be: a node of another cluster, or one that does not know yet that it belongs to this one. */
  #isOfOtherCluster (step: Step): boolean {
    if (step.kind !== 'receive' || step.violation?.kind !== 'foreign') return false
    const { from, cluster } = step.message
    return cluster?.isCommitted !== true || this.#context.nodes.every(({ id }) => id !== from)
  }

  #record (id: NodeId): NodeRecord {
    const record = this.#records.get(id)
    if (record === undefined) throw new Error(`${id} never started`)
    return record
  }

  /** Returns the configurations that this node created: those that no node had before. */
  #checkWrite (node: CoreNode, entries: readonly Entry[]): readonly ConfigurationEntry[] {
    const created: ConfigurationEntry[] = []
    const first = entries[0]
    if (first === undefined) return created
    const leads = this.#record(node.id).leadsTerm
    let previousTerm: number =
      first.index - 1 === node.core.base.index ? node.core.base.term : (node.entryAt(first.index - 1)?.term ?? 0)
    for (const entry of entries) {
      const key = `${entry.index}:${entry.term}`
      const known = this.#created.get(key)
      if (known === undefined) {
        this.#created.set(key, { entry, previousTerm, atUs: this.#context.nowUs() })
        this.#checkLogTime(node, entry, previousTerm)
        if (entry.kind === 'configuration') created.push(entry)
      } else {
        if (!sameEntry(known.entry, entry)) {
          throw new BrokenPromise('log matching', `${node.id} holds another entry at ${key}`)
        }
        if (known.previousTerm !== previousTerm) {
          throw new BrokenPromise(
            'log matching',
            `${node.id} holds term ${previousTerm} before ${key}, others ${known.previousTerm}`
          )
        }
        if (leads === entry.term) {
          throw new BrokenPromise('leader append-only', `${node.id} rewrites ${key} in its own term`)
        }
      }
      const committed = this.committed[entry.index - 1]
      if (committed !== undefined && committed.inTerm < node.core.view.term && committed.entry.term !== entry.term) {
        throw new BrokenPromise(
          'committed entries stay',
          `${node.id} replaces committed ${entry.index} by term ${entry.term}`
        )
      }
      previousTerm = entry.term
    }
    return created
  }

  /** Log time advances no faster than the fastest clock, whatever happened to the wall clocks. */
  #checkLogTime (node: CoreNode, entry: Entry, previousTerm: number): void {
    const previous = this.#created.get(`${entry.index - 1}:${previousTerm}`)
    if (previous === undefined) return
    const { nowUs, drift } = this.#context
    const stepMs = entry.timeMs - previous.entry.timeMs
    const mostMs = (1 + drift) * (nowUs() - previous.atUs) / 1_000 + roundingMs
    if (stepMs < 0 || stepMs > mostMs) {
      throw new BrokenPromise(
        'log time is counted by monotonic clocks',
        `${node.id} moves it by ${stepMs} ms at ${entry.index}, at most ${mostMs} ms after the entry before`
      )
    }
  }

  /** When a leader appended this entry, which some node applies. */
  createdAtUs (index: number, term: number): number {
    return this.#created.get(`${index}:${term}`)?.atUs ?? Infinity
  }

  #checkDurable (id: NodeId, before: HardState, after: HardState): void {
    if (after.term < before.term) {
      throw new BrokenPromise('no regress of durable state', `${id}: term ${before.term} to ${after.term}`)
    }
    if (after.commit < before.commit) {
      throw new BrokenPromise('no regress of durable state', `${id}: commit ${before.commit} to ${after.commit}`)
    }
    if (after.term === before.term && before.vote !== null && after.vote !== before.vote) {
      throw new BrokenPromise('one vote in a term', `${id}: ${before.vote} to ${String(after.vote)} in ${after.term}`)
    }
  }

  #checkDisk (node: CoreNode): void {
    const record = this.#record(node.id)
    const { hardState, entries, base } = node.disk
    this.#checkDurable(node.id, record.durable, hardState)
    if (hardState.commit > base.index + entries.length) {
      throw new BrokenPromise('recoverable disk', `${node.id}: commit past the end of the log`)
    }
    if (base.index > (node.disk.snapshot?.point.index ?? 0)) {
      throw new BrokenPromise('recoverable disk', `${node.id}: forgot its log through ${base.index} without a snapshot`)
    }
    if (hardState.term < (entries.at(-1) ?? base).term) {
      throw new BrokenPromise('recoverable disk', `${node.id}: entries newer than the term`)
    }
    record.durable = hardState
  }

  /** A snapshot holds committed entries only, and no node goes back by it. */
  #checkInstalled (node: CoreNode, { index, term }: SnapshotPoint): void {
    const record = this.#record(node.id)
    if (index <= record.handedOut) {
      throw new BrokenPromise('applied in order, once', `${node.id}: installs ${index} after ${record.handedOut}`)
    }
    if (this.committed[index - 1]?.entry.term !== term) {
      throw new BrokenPromise(
        'state machine safety',
        `${node.id} installs a snapshot through ${index} of term ${term}, which is not committed`
      )
    }
    record.handedOut = index
    this.installed++
  }

  #checkCommitted (node: CoreNode, entries: readonly Entry[]): void {
    const record = this.#record(node.id)
    const inTerm = node.core.view.term
    for (const entry of entries) {
      if (entry.index !== record.handedOut + 1) {
        throw new BrokenPromise('applied in order, once', `${node.id}: ${entry.index} after ${record.handedOut}`)
      }
      record.handedOut = entry.index
      const known = this.committed[entry.index - 1]
      if (known === undefined) this.#commit(node, entry, inTerm)
      else if (!sameEntry(known.entry, entry)) {
        throw new BrokenPromise(
          'state machine safety',
          `${node.id} applies term ${entry.term} at ${entry.index}, others ${known.entry.term}`
        )
      }
    }
  }

  #commit (node: CoreNode, entry: Entry, inTerm: number): void {
    const holders = this.#context.nodes.filter((other) => other.durableEntryAt(entry.index)?.term === entry.term)
    this.membership.committed(node, entry, new Set(holders.map(({ id }) => id)))
    this.committed.push({ entry, inTerm })
    for (const other of this.#context.nodes) {
      const leads = this.#record(other.id).leadsTerm
      if (leads !== null && leads > inTerm) this.#checkHolds(other, { entry, inTerm })
    }
  }

  #checkHolds (leader: CoreNode, { entry, inTerm }: CommittedEntry): void {
    const { base } = leader.core
    // Compacted entries were committed; the base has the term of the last one.
    if (entry.index < base.index || (entry.index === base.index && entry.term === base.term)) return
    if (leader.entryAt(entry.index)?.term === entry.term) return
    throw new BrokenPromise(
      'leader completeness',
      `${leader.id} leads without ${entry.index}, committed in term ${inTerm}`
    )
  }

  #checkView (node: CoreNode, step: Step): void {
    const record = this.#record(node.id)
    const { role, term } = node.core.view
    if (role !== 'leader') {
      if (record.leadsTerm !== null) this.membership.deposed(node, step)
      record.leadsTerm = null
      return
    }
    const known = this.#leaders.get(term)
    if (known !== undefined && known !== node.id) {
      throw new BrokenPromise('election safety', `${known} and ${node.id} lead term ${term}`)
    }
    this.#leaders.set(term, node.id)
    if (record.leadsTerm === term) return
    this.elections++
    this.membership.elected(node, term)
    record.leadsTerm = term
    for (const committed of this.committed) if (committed.inTerm < term) this.#checkHolds(node, committed)
  }

  #checkRead (node: CoreNode, read: Output['reads'][number]): void {
    if (read.kind === 'refused') {
      this.readsRefused++
      return
    }
    const floor = this.#reads.get(read.context)
    if (floor === undefined) throw new BrokenPromise('answered reads were asked', `${node.id}: context ${read.context}`)
    if (read.index < floor) {
      throw new BrokenPromise('linearizable reads', `${node.id} may read at ${read.index} after ${floor} was committed`)
    }
    this.readsConfirmed++
  }
}
