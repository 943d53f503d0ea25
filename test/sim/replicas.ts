import { EventEmitter } from 'node:events'
import type { PrimitiveContext } from '../../src/plugin/primitives/context.ts'
import { ProposalQueue } from '../../src/raft/client/proposal-queue.ts'
import { ReadBarriers } from '../../src/raft/client/read-barriers.ts'
import type { Entry, NodeId, ProposeResult, ReadResult } from '../../src/raft/core/index.ts'
import type { Engine, EngineEvents, Leadership } from '../../src/raft/engine.ts'
import { StoppedError } from '../../src/raft/errors.ts'
import { ClockNotes } from '../../src/raft/state/time-of-day.ts'
import type { ForwardAnswer } from '../../src/raft/transport/codec.ts'
import type { CoreSnapshot } from '../support/core-node.ts'
import type { LeadershipWatches } from './leadership-watches.ts'
import type { Network } from './network.ts'
import { NodeTimers } from './node-timers.ts'
import type { StateCode } from './replica.ts'
import { Replica } from './replica.ts'
import type { ReplicaChecker } from './replica-checker.ts'
import type { PrimitivesCode } from './users/index.ts'
import { createNodeEngine } from './users/node-engine.ts'
import type { Users } from './users/users.ts'
import type { SimNode, World } from './world.ts'

/** Everything above the core on one node, from one start of it to its end. */
export interface Service {
  readonly replica: Replica
  readonly proposals: ProposalQueue
  readonly reads: ReadBarriers
  readonly events: EventEmitter<EngineEvents>
  readonly engine: Engine
  readonly stop: () => void
  readonly announced: { leadership: Leadership | null }
  /** Appends commands on this node, as the driver does. */
  readonly append: (commands: readonly Uint8Array[]) => ProposeResult
}

const quietLogger = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} }

/**
 * The driver's part above the core: applies what is committed, and runs the production client of each node, with its
 * session, and the production clock of the locks.
 */
export class Replicas {
  readonly #world: World
  readonly #network: Network
  readonly #checker: ReplicaChecker
  readonly #code: StateCode | undefined
  readonly #expiring: (sim: SimNode, command: Uint8Array) => void
  readonly #readIssued: (context: number) => void
  readonly #watches: LeadershipWatches
  readonly #users: Users
  readonly #startDeadlines: PrimitivesCode['startDeadlines']
  readonly #services = new Map<NodeId, Service>()
  readonly #bytes = new WeakMap<CoreSnapshot, Promise<Uint8Array>>()

  /** `expiring` hears of every end of a lock that is about to be proposed. */
  constructor (
    world: World,
    network: Network,
    checker: ReplicaChecker,
    code: StateCode | undefined,
    expiring: (sim: SimNode, command: Uint8Array) => void,
    readIssued: (context: number) => void,
    watches: LeadershipWatches,
    users: Users,
    startDeadlines: PrimitivesCode['startDeadlines']
  ) {
    this.#world = world
    this.#watches = watches
    this.#users = users
    this.#startDeadlines = startDeadlines
    this.#network = network
    this.#checker = checker
    this.#code = code
    this.#expiring = expiring
    this.#readIssued = readIssued
  }

  /** What runs on a node that is up. */
  serviceOf (id: NodeId): Service {
    const service = this.#services.get(id)
    if (service === undefined) throw new Error(`${id} is not up`)
    return service
  }

  started (sim: SimNode): void {
    this.#watches.started(sim)
    const timers = new NodeTimers(this.#world, sim)
    const events = new EventEmitter<EngineEvents>()
    const announced: Service['announced'] = { leadership: null }
    const clockNotes = new ClockNotes()
    const append = (commands: readonly Uint8Array[]): ProposeResult => {
      const now = { monotonicMs: sim.clock.monotonicMs(), wallMs: sim.clock.wallMs() }
      return clockNotes.append(commands, sim.node.core.view.term, now, (all) => sim.node.propose(...all))
    }
    const proposals = this.#createQueue(sim, timers, append)
    const reads: ReadBarriers = this.#createBarriers(sim, timers, () => replica)
    const replica = new Replica({
      id: sim.node.id,
      checker: this.#checker,
      code: this.#code,
      wallMs: sim.clock.wallMs,
      listener: proposals,
      observe: (machine, command, answer, index) => { this.#users.applied(machine, command, answer, index) },
      advanced: () => {
        reads.applied()
      }
    })
    const { snapshot } = sim.node.disk
    if (snapshot !== null) this.#restore(replica, snapshot)
    const engine = createNodeEngine({
      sim,
      events,
      proposals,
      reads,
      announced,
      lease: this.#watches.leaseOf(sim.node.id),
      appliedIndex: () => replica.appliedIndex,
      proposing: (command) => { this.#expiring(sim, command) }
    })
    const context: PrimitiveContext = {
      engine,
      machine: replica.machine,
      clock: sim.clock,
      logger: quietLogger,
      defaultTimeoutMs: 1_000,
      timers
    }
    const deadlines = this.#startDeadlines(context)
    const stop = (): void => {
      deadlines.stop()
      const reason = new StoppedError('it has crashed')
      proposals.stop(reason)
      reads.stop(reason)
    }
    const service: Service = { replica, proposals, reads, events, engine, stop, announced, append }
    this.#services.set(sim.node.id, service)
    this.#users.started(sim, context)
  }

  crashed (sim: SimNode): void {
    const service = this.#services.get(sim.node.id)
    if (service === undefined) return
    this.#services.delete(sim.node.id)
    service.stop()
    this.#world.hasPromises = true
  }

  /** A snapshot was installed. */
  restored (id: NodeId, snapshot: CoreSnapshot): void {
    this.#restore(this.serviceOf(id).replica, snapshot)
  }

  /** Entries were committed. */
  applied (id: NodeId, entries: readonly Entry[]): void {
    this.serviceOf(id).replica.apply(entries)
    if (entries.length > 0) this.#world.hasPromises = true
  }

  readDecided (id: NodeId, result: ReadResult): void {
    this.serviceOf(id).reads.decided(result)
    this.#world.hasPromises = true
  }

  viewChanged (id: NodeId): void {
    const { proposals, reads, events, engine } = this.serviceOf(id)
    proposals.leaderChanged()
    reads.leaderChanged()
    events.emit('leader', engine.leader())
    this.#world.hasPromises = true
  }

  /** Announces leadership, as the node does after each step. */
  stepped (sim: SimNode): void {
    const service = this.serviceOf(sim.node.id)
    const token = sim.node.core.leadershipIndex
    const leads = token !== null && service.replica.appliedIndex >= token
    const leading = leads ? { token, term: sim.node.core.view.term } : null
    const { announced, events } = service
    for (const news of this.#watches.look(sim, leading)) {
      switch (news.kind) {
        case 'started':
          announced.leadership = news.leadership
          events.emit('leadership', news.leadership)
          break
        case 'ended':
          announced.leadership = null
          events.emit('leadership', null, news.reason)
          break
        case 'suspended':
        case 'resumed':
      }
    }
  }

  /** Keeps the state of this moment with a snapshot that is being taken. */
  capture (sim: SimNode, snapshot: CoreSnapshot): void {
    const bytes = this.serviceOf(sim.node.id).replica.snapshot()
    this.#bytes.set(snapshot, bytes)
    this.#world.blockOn(bytes.then(() => {}))
  }

  ticked (sim: SimNode): void {
    if (this.#watches.takeWantsRound(sim)) sim.node.startRound()
    this.serviceOf(sim.node.id).reads.tick()
  }

  #restore (replica: Replica, snapshot: CoreSnapshot): void {
    const bytes = this.#bytes.get(snapshot)
    if (bytes === undefined) throw new Error(`the snapshot through ${snapshot.point.index} holds no state`)
    this.#world.blockOn(replica.restore(bytes, snapshot.point.index))
  }

  #createBarriers (sim: SimNode, timers: NodeTimers, replicaOf: () => Replica): ReadBarriers {
    const { plan, random } = this.#world
    return new ReadBarriers({
      defaultTimeoutMs: plan.callers.timeoutMs,
      maxWaiting: 1_000,
      repeatAfterMs: (plan.electionTicksMin * plan.tickUs) / 1_000,
      clock: sim.clock,
      node: {
        get appliedIndex () { return replicaOf().appliedIndex },
        read: (context) => {
          this.#readIssued(context)
          sim.node.read([context])
        }
      },
      timers,
      // Apart from the contexts of the load.
      drawContext: () => random.between(2 ** 40, 2 ** 46)
    })
  }

  #createQueue (sim: SimNode, timers: NodeTimers, append: Service['append']): ProposalQueue {
    const { plan, random } = this.#world
    return new ProposalQueue({
      defaultTimeoutMs: plan.callers.timeoutMs,
      maxPending: 1_000,
      maxPendingBytes: 1_000_000,
      maxCommandBytes: 100_000,
      maxBatchCommands: 64,
      maxBatchBytes: 100_000,
      retryAfterMs: (plan.electionTicksMin * plan.tickUs) / 2_000,
      sessionTtlMs: plan.callers.sessionTtlMs,
      nodeId: sim.node.id,
      node: {
        get view () { return sim.node.core.view },
        propose: append
      },
      transport: { forward: (to, commands) => this.#forward(sim, to, commands) },
      timers,
      drawNonce: (bytes) => Uint8Array.from({ length: bytes }, () => random.between(0, 255))
    })
  }

  /** One hop to the leader and back; without an answer the outcome is unknown. */
  #forward (sim: SimNode, to: NodeId, commands: readonly Uint8Array[]): Promise<ForwardAnswer> {
    const { plan, queue } = this.#world
    const { starts } = sim.node
    return new Promise((resolve, reject) => {
      this.#network.carry(sim.node.id, to, (leader) => {
        const result = this.serviceOf(leader.node.id).append(commands)
        const answer: ForwardAnswer = result.kind === 'appended' ? { kind: 'appended' } : result
        this.#network.carry(to, sim.node.id, (receiver) => {
          if (receiver.node.starts === starts) {
            this.#settle(() => {
              resolve(answer)
            })
          }
        })
      })
      queue.after(4 * plan.electionTicksMax * plan.tickUs, () => {
        this.#settle(() => {
          reject(new Error('no answer in time'))
        })
      })
    })
  }

  #settle (run: () => void): void {
    run()
    this.#world.hasPromises = true
  }
}
