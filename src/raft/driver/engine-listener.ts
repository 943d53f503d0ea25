import { EventEmitter } from 'node:events'
import type { ProposalQueue } from '../client/proposal-queue.ts'
import type { ReadBarriers } from '../client/read-barriers.ts'
import type { Entry, LeadershipView, ReadResult } from '../core/index.ts'
import type { LeaderInfo, RaftEvents } from '../engine.ts'
import { StoppedError } from '../errors.ts'
import type { MemberChanges } from '../membership/changes.ts'
import type { LostLog } from '../membership/distrust.ts'
import type { Incarnations } from '../membership/incarnations.ts'
import type { MemberUrls } from '../membership/member-urls.ts'
import { leaderOf, membershipOf } from '../membership/members.ts'
import type { MembershipRecord } from '../membership/record.ts'
import type { Logger } from '../runtime/logger.ts'
import type { ReplicatedState } from '../state/replicated-state.ts'
import type { SnapshotInfo } from '../storage/snapshot-store.ts'
import type { HttpTransport } from '../transport/http-transport.ts'
import type { LeadershipNews } from './leadership-watch.ts'
import type { RaftNode } from './node.ts'
import type { NodeListener } from './node-options.ts'

/** The node, and the parts of the engine that its events go to. */
interface EngineListenerOptions {
  readonly node: RaftNode
  readonly incarnations: Incarnations
  readonly lostLog: LostLog
  readonly urls: MemberUrls
  readonly transport: Pick<HttpTransport, 'announce'>
  readonly proposals: ProposalQueue
  readonly reads: ReadBarriers
  readonly state: ReplicatedState
  readonly changes: MemberChanges
  readonly record: MembershipRecord
  readonly logger: Logger
  /** Whether this node is a member by the options of this start; false for a node that joins. */
  readonly isSeedMember: boolean
}

/** Passes the driver's events to the parts of the engine, in a fixed order, and then to the engine's users. */
export class EngineListener implements NodeListener {
  readonly events = new EventEmitter<RaftEvents>()
  readonly #options: EngineListenerOptions
  #announcedLeader: LeaderInfo | null = null

  constructor (options: EngineListenerOptions) {
    this.#options = options
    // Every wait and every grant adds a listener.
    this.events.setMaxListeners(0)
  }

  apply (entry: Entry): void {
    this.#options.changes.applying(entry)
    this.#options.state.apply(entry)
  }

  snapshot (): AsyncIterable<Uint8Array> {
    return this.#options.state.snapshot()
  }

  async restore (source: AsyncIterable<Uint8Array>): Promise<void> {
    await this.#options.state.restore(source)
  }

  snapshotTaken ({ index, term, bytes }: SnapshotInfo): void {
    this.events.emit('snapshot', { index, term, bytes })
  }

  applied (index: number): void {
    this.#options.reads.applied()
    this.#options.changes.applied()
    this.events.emit('applied', index)
  }

  readDecided (result: ReadResult): void {
    this.#options.reads.decided(result)
  }

  configurationChanged (): void {
    this.#options.incarnations.membersChanged()
    const membership = membershipOf(this.#options.node)
    this.#options.logger.info({ members: membership.members, version: membership.version }, 'membership changed')
    this.events.emit('membership', membership)
    // A joining node learns the leader's id first and its URL only from the configuration.
    this.#announceLeader()
  }

  viewChanged (view: LeadershipView): void {
    const { incarnations, logger, proposals, reads } = this.#options
    incarnations.roleChanged()
    logger.info({ role: view.role, term: view.term, leader: view.leader }, 'role or leader changed')
    proposals.leaderChanged()
    reads.leaderChanged()
    this.#announceLeader()
  }

  leadershipNews (news: LeadershipNews): void {
    const { logger, record } = this.#options
    const { leadership: { term, token } } = news
    switch (news.kind) {
      case 'started':
        logger.info({ term, token }, 'leadership started')
        this.events.emit('leadership', news.leadership)
        // Leaves the current step first: the core is not re-entrant.
        setImmediate(() => record.update())
        break
      case 'ended':
        logger.info({ term, token, reason: news.reason }, 'leadership ended')
        this.events.emit('leadership', null, news.reason)
        break
      case 'suspended':
        logger.warn({ term, token }, 'the lease lapsed while this node could not run, or its clock was set')
        this.events.emit('lease', false)
        break
      case 'resumed':
        logger.info({ term, token }, 'the lease holds again: no other node has led meanwhile')
        this.events.emit('lease', true)
        break
    }
  }

  ticked (): void {
    const { lostLog, node, reads, record, isSeedMember, transport, urls } = this.#options
    reads.tick()
    record.update()
    if (urls.tick()) transport.announce()
    const reason = lostLog.tick()
    // Not for a joining node: the cluster that it asks tells it. A node with a configuration in its log may only be
    // behind.
    if (reason !== null && isSeedMember && node.configurationIndex === 0) node.fail(reason)
  }

  failed (error: Error): void {
    // Same error as for later calls: another node may be able to serve them.
    this.endWaits(new StoppedError(error.message, { cause: error }))
    this.#announcedLeader = null
    this.events.emit('leader', null)
    this.events.emit('failed', error)
  }

  /** Rejects all waiting commands, reads and changes of membership. */
  endWaits (reason: Error): void {
    const { changes, proposals, reads } = this.#options
    proposals.stop(reason)
    reads.stop(reason)
    changes.stop(reason)
  }

  #announceLeader (): void {
    const leader = leaderOf(this.#options.node)
    const announced = this.#announcedLeader
    if (leader?.id === announced?.id && leader?.term === announced?.term && leader?.url === announced?.url) return
    this.#announcedLeader = leader
    this.events.emit('leader', leader)
  }
}
