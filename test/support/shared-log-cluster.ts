import { EventEmitter } from 'node:events'
import type {
  EventSource,
  LeaderInfo,
  Leadership,
  Member,
  Membership,
  RaftControl,
  RaftEvents,
  RaftStatus,
  SnapshotTaken,
  WaitOptions
} from '../../src/raft/engine.ts'
import {
  BusyError,
  NoLeaderError,
  NotLeaderError,
  OutcomeUnknownError,
  UnknownMemberError
} from '../../src/raft/errors.ts'
import type { StateMachine } from '../../src/raft/state/state-machine.ts'

interface LogEntry {
  /** The command, or null for a leader's first entry. */
  readonly command: Uint8Array | null
  readonly term: number
  readonly timeMs: number
}

/**
 * What happens to the proposals of a node: `applied` is the normal course, `lost-answer` applies them and reports an
 * unknown outcome, `dropped` reports one and applies nothing, `late` reports one and applies them at `deliverLate`,
 * `held` keeps them waiting for the signal or for `deliverLate`, `busy` refuses them.
 */
export type ProposalFate = 'applied' | 'lost-answer' | 'dropped' | 'late' | 'held' | 'busy'

/**
 * Several nodes on one log that is replicated at once, without consensus. Tests drive leadership and faults by hand.
 */
export class SharedLogCluster<M extends StateMachine> {
  readonly nodes: readonly SharedLogNode<M>[]
  readonly log: LogEntry[] = []
  term = 0
  timeMs = 1_000_000

  constructor (size: number, createMachine: () => M) {
    this.nodes = Array.from({ length: size }, (_, at) => new SharedLogNode(this, `n${at + 1}`, createMachine()))
  }

  node (at: number): SharedLogNode<M> {
    const node = this.nodes[at]
    if (node === undefined) throw new Error(`no node ${at}`)
    return node
  }

  append (command: Uint8Array | null): number {
    this.log.push({ command, term: this.term, timeMs: this.timeMs })
    for (const node of this.nodes) node.catchUp()
    return this.log.length
  }

  /** The node leads a new term; the leader before learns of it unless it is cut off. */
  lead (at: number): Leadership {
    this.term++
    const leader = this.node(at)
    leader.isCutOff = false
    const token = this.append(null)
    for (const node of this.nodes) {
      if (!node.isCutOff) {
        node.setLeadership(node === leader ? { token, term: this.term } : null, {
          id: leader.nodeId,
          url: 'http://127.0.0.1:1',
          term: this.term
        })
      }
    }
    return { token, term: this.term }
  }
}

/** One node of a {@link SharedLogCluster}. */
export class SharedLogNode<M extends StateMachine> implements RaftControl {
  readonly events: EventEmitter<RaftEvents> & EventSource<RaftEvents> = new EventEmitter<RaftEvents>()
  readonly nodeId: string
  readonly machine: M
  /** While true it neither receives entries nor gets proposals through. */
  isCutOff = false
  fate: ProposalFate = 'applied'
  readonly #cluster: SharedLogCluster<M>
  readonly #answers = new Map<number, unknown>()
  #late: Array<() => void> = []
  #applied = 0
  #leadership: Leadership | null = null
  #leader: LeaderInfo | null = null

  constructor (cluster: SharedLogCluster<M>, nodeId: string, machine: M) {
    this.#cluster = cluster
    this.nodeId = nodeId
    this.machine = machine
  }

  start (): void {}
  async stop (): Promise<void> {}
  async handOver (): Promise<void> {}

  async waitForState (options: WaitOptions = {}): Promise<void> {
    options.signal?.throwIfAborted()
  }

  async propose (command: Uint8Array, options: WaitOptions = {}): Promise<unknown> {
    options.signal?.throwIfAborted()
    await Promise.resolve()
    const timeoutMs = options.timeoutMs ?? 0
    if (this.isCutOff) throw new NoLeaderError(timeoutMs)
    switch (this.fate) {
      case 'applied': return this.#append(command)
      case 'busy': throw new BusyError('a test said so')
      case 'dropped': throw new OutcomeUnknownError(timeoutMs)
      case 'lost-answer':
        this.#append(command)
        throw new OutcomeUnknownError(timeoutMs)
      case 'late':
        this.#late.push(() => { this.#append(command) })
        throw new OutcomeUnknownError(timeoutMs)
      case 'held': return await this.#hold(command, options.signal)
    }
  }

  async readBarrier (options: WaitOptions = {}): Promise<void> {
    options.signal?.throwIfAborted()
    await Promise.resolve()
    if (this.isCutOff) throw new NoLeaderError(options.timeoutMs ?? 0)
    this.catchUp()
  }

  /** Appends what was proposed `late` or `held`. */
  deliverLate (): void {
    for (const deliver of this.#late.splice(0)) deliver()
  }

  /** Back in the cluster: applies the entries that it missed, and follows the leader. */
  heal (leader: LeaderInfo | null = null): void {
    this.isCutOff = false
    this.catchUp()
    this.setLeadership(null, leader)
  }

  catchUp (): void {
    while (!this.isCutOff && this.#applied < this.#cluster.log.length) {
      const entry = this.#cluster.log[this.#applied]
      const index = ++this.#applied
      if (entry === undefined) throw new Error('a hole in the log')
      const context = { index, term: entry.term, timeMs: entry.timeMs, timeOfDayMs: entry.timeMs }
      if (entry.command === null) this.machine.leadershipStarted(context)
      else this.#answers.set(index, this.machine.apply(entry.command, context))
      this.events.emit('applied', index)
    }
  }

  setLeadership (leadership: Leadership | null, leader: LeaderInfo | null): void {
    const changed = this.#leadership?.token !== leadership?.token
    this.#leadership = leadership
    this.#leader = leader
    this.events.emit('leader', leader)
    if (changed) this.events.emit('leadership', leadership)
  }

  members (): readonly Member[] {
    return []
  }

  membership (): Membership {
    return { members: [], version: 0, isSettled: true }
  }

  async changeMembership (): Promise<Membership> {
    throw new Error('the fake has a fixed membership')
  }

  async transferLeadership (to: string | null): Promise<LeaderInfo> {
    if (this.#leadership === null) throw new NotLeaderError('elsewhere')
    const at = this.#cluster.nodes.findIndex((node) => to === null ? node.nodeId !== this.nodeId : node.nodeId === to)
    if (at === -1) throw new UnknownMemberError(to)
    const { term } = this.#cluster.lead(at)
    return { id: this.#cluster.node(at).nodeId, url: 'http://127.0.0.1:1', term }
  }

  async stepDown (): Promise<void> {
    if (this.#leadership === null) throw new NotLeaderError('elsewhere')
    this.setLeadership(null, null)
  }

  async takeSnapshot (): Promise<SnapshotTaken> {
    return { index: this.#applied, term: this.#cluster.term, bytes: 0 }
  }

  currentLeadership (): Leadership | null { return this.#leadership }
  openLeadership (): Leadership | null { return this.#leadership }
  leader (): LeaderInfo | null { return this.#leader }

  clusterUuid (): undefined {}
  appliedIndex (): number { return this.#applied }
  lastContactMs (): number { return 0 }

  expectCluster (): void {}
  hasBelonged (): boolean { return true }

  status (): RaftStatus {
    return {
      incarnation: 'a1',
      nodeId: this.nodeId,
      clusterId: 'test',
      clusterUuid: null,
      role: this.#leadership === null ? 'follower' : 'leader',
      term: this.#cluster.term,
      leader: this.#leader,
      commitIndex: this.#applied,
      appliedIndex: this.#applied,
      lastIndex: this.#applied,
      snapshotIndex: 0,
      leaseRemainingMs: this.#leadership === null ? 0 : 400,
      members: [],
      lowSpace: false,
      snapshotFailure: null,
      restoring: null,
      failure: null
    }
  }

  #append (command: Uint8Array): unknown {
    return this.#answers.get(this.#cluster.append(command))
  }

  async #hold (command: Uint8Array, signal: AbortSignal | undefined): Promise<unknown> {
    return await new Promise((resolve, reject) => {
      this.#late.push(() => { resolve(this.#append(command)) })
      signal?.addEventListener('abort', () => { reject(signal.reason as Error) })
    })
  }
}
