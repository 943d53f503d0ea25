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
import { NoLeaderError, NotLeaderError, UnknownMemberError } from '../../src/raft/errors.ts'
import type { ApplyContext, StateMachine } from '../../src/raft/state/state-machine.ts'

/**
 * An engine without consensus: one in-memory log applied at once. Tests drive its leadership by hand.
 */
export class FakeEngine implements RaftControl {
  readonly events: EventEmitter<RaftEvents> & EventSource<RaftEvents> = new EventEmitter<RaftEvents>()
    .setMaxListeners(0)

  readonly machine: StateMachine
  readonly nodeId: string
  readonly #members: readonly Member[]
  /** Log time of the next entry; tests move it. */
  timeMs = 1_000
  /** While true, `propose` and `readBarrier` reject with `RAFT_NO_LEADER`. */
  unavailable = false
  /** UUID of the cluster by the log, and the one that was expected last. */
  uuid: string | undefined = undefined
  expectedCluster: string | undefined = undefined
  /** How long ago this node heard from its leader, as long as it does not lead itself. */
  contactMs = Infinity
  /** Whether its log says that it was a member. */
  belonged = false
  started = false
  stopped = false
  #index = 0
  #snapshotIndex = 0
  #term = 0
  #leadership: Leadership | null = null
  #open: Leadership | null = null
  #leader: LeaderInfo | null = null

  constructor (
    machine: StateMachine,
    nodeId = 'n1',
    members: readonly Member[] = [{ id: nodeId, url: 'http://127.0.0.1:1' }]
  ) {
    this.machine = machine
    this.nodeId = nodeId
    this.#members = members
  }

  start (): void {
    this.started = true
  }

  async stop (): Promise<void> {
    this.stopped = true
  }

  /** This node becomes the leader of a new term. */
  lead (): Leadership {
    this.#term++
    this.#index++
    this.machine.leadershipStarted(this.#contextOf(this.#index))
    this.#leadership = { token: this.#index, term: this.#term }
    this.#open = this.#leadership
    this.#setLeader({ ...this.#member(this.nodeId), term: this.#term })
    this.events.emit('leadership', this.#leadership)
    this.events.emit('applied', this.#index)
    return this.#leadership
  }

  /** This node stops leading; `next` leads a new term, or no node does when it is null. */
  lose (next: string | null = null): void {
    const had = this.#open !== null
    this.#leadership = null
    this.#open = null
    if (next !== null) {
      this.#term++
      this.#index++
      this.machine.leadershipStarted(this.#contextOf(this.#index))
    }
    this.#setLeader(next === null ? null : { ...this.#member(next), term: this.#term })
    if (had) this.events.emit('leadership', null)
  }

  #contextOf (index: number): ApplyContext {
    return { index, term: this.#term, timeMs: this.timeMs, timeOfDayMs: this.timeMs }
  }

  /** Whether the round of a read renews a lease that has lapsed. */
  readsRenewLease = false

  /** The lease lapses without any event, as it does behind a blocked event loop. */
  lapseSilently (): void {
    this.#leadership = null
  }

  async waitForState (options: WaitOptions = {}): Promise<void> {
    options.signal?.throwIfAborted()
  }

  async propose (command: Uint8Array, options: WaitOptions = {}): Promise<unknown> {
    options.signal?.throwIfAborted()
    await Promise.resolve()
    if (this.unavailable) throw new NoLeaderError(options.timeoutMs ?? 0)
    const index = ++this.#index
    const answer = this.machine.apply(command, this.#contextOf(index))
    this.events.emit('applied', index)
    return answer
  }

  async readBarrier (options: WaitOptions = {}): Promise<void> {
    options.signal?.throwIfAborted()
    await Promise.resolve()
    if (this.unavailable) throw new NoLeaderError(options.timeoutMs ?? 0)
    if (this.readsRenewLease) this.#leadership = this.#open
  }

  members (): readonly Member[] {
    return this.#members
  }

  membership (): Membership {
    return { members: this.#members.map((member) => ({ ...member, role: 'voter' })), version: 0, isSettled: true }
  }

  async changeMembership (): Promise<Membership> {
    throw new Error('the fake has a fixed membership')
  }

  async transferLeadership (to: string | null): Promise<LeaderInfo> {
    if (this.#leadership === null) throw new NotLeaderError('elsewhere')
    const next = to ?? this.#members.find((member) => member.id !== this.nodeId)?.id
    if (next === undefined || this.#members.every((member) => member.id !== next)) throw new UnknownMemberError(to)
    this.lose(next)
    return { ...this.#member(next), term: this.#term }
  }

  async handOver (): Promise<void> {
    if (this.#leadership !== null && this.#members.length > 1) await this.transferLeadership(null)
  }

  async stepDown (): Promise<void> {
    if (this.#leadership === null) throw new NotLeaderError('elsewhere')
    this.lose()
  }

  async takeSnapshot (): Promise<SnapshotTaken> {
    this.#snapshotIndex = this.#index
    return { index: this.#index, term: this.#term, bytes: 0 }
  }

  currentLeadership (): Leadership | null {
    return this.#leadership
  }

  openLeadership (): Leadership | null {
    return this.#open
  }

  leader (): LeaderInfo | null {
    return this.#leader
  }

  clusterUuid (): string | undefined {
    return this.uuid
  }

  appliedIndex (): number {
    return this.#index
  }

  lastContactMs (): number {
    return this.#leadership === null ? this.contactMs : 0
  }

  expectCluster (uuid: string): void {
    this.expectedCluster = uuid
  }

  hasBelonged (): boolean {
    return this.belonged
  }

  status (): RaftStatus {
    return {
      nodeId: this.nodeId,
      incarnation: 'a1',
      clusterId: 'test',
      clusterUuid: this.uuid ?? null,
      role: this.#leadership === null ? 'follower' : 'leader',
      term: this.#term,
      leader: this.#leader,
      commitIndex: this.#index,
      appliedIndex: this.#index,
      lastIndex: this.#index,
      snapshotIndex: this.#snapshotIndex,
      leaseRemainingMs: this.#leadership === null ? 0 : 400,
      members: this.membership().members,
      lowSpace: false,
      snapshotFailure: null,
      restoring: null,
      failure: null
    }
  }

  #member (id: string): Member {
    const member = this.#members.find((candidate) => candidate.id === id)
    if (member === undefined) throw new Error(`no member ${id}`)
    return member
  }

  #setLeader (leader: LeaderInfo | null): void {
    this.#leader = leader
    this.events.emit('leader', leader)
  }
}
