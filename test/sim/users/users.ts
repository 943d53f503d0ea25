import type { PrimitiveContext } from '../../../src/plugin/primitives/context.ts'
import { createMap } from '../../../src/plugin/primitives/map.ts'
import { processSession } from '../../../src/plugin/primitives/process-session.ts'
import { SessionBeats } from '../../../src/plugin/primitives/session-beats.ts'
import type { Answer } from '../../../src/plugin/replicated/answer.ts'
import type { ClusterStateMachine } from '../../../src/plugin/replicated/cluster-state-machine.ts'
import type { Command } from '../../../src/plugin/replicated/command.ts'
import type { Network } from '../network.ts'
import { BrokenPromise } from '../promise.ts'
import { SimRandom } from '../random.ts'
import type { SimNode, World } from '../world.ts'
import { Claims, Process } from './claims.ts'
import { LockQueues } from './lock-queues.ts'
import { countersMap, LockUsers } from './lock-users.ts'
import { MapTruth } from './map-truth.ts'
import { NodeNotes } from './node-notes.ts'
import { OnceUsers } from './once-users.ts'
import { ScheduleUsers } from './schedule-users.ts'
import { TaskUsers } from './task-users.ts'
import type { UserEnvironment } from './user.ts'
import { repeat } from './user.ts'
import { WatchUsers } from './watch-users.ts'

/** The map that users watch. */
const watchedMap = 'm'

/** By how much two clocks may differ in speed for what trusts them: a little less than the primitives allow for. */
const trustedRatio = 1.009

/**
 * Applications on the nodes of a cluster: each start of a node runs locks, a singleton, schedules, work that is done
 * once, and a watch, all through the production code of the plugin, and what they see is held against simple models.
 */
export class Users {
  readonly #world: World
  readonly #seed: number
  readonly #notes: NodeNotes
  readonly #claims: Claims
  readonly #queues = new LockQueues()
  readonly #truth = new MapTruth(watchedMap)
  readonly #locks: LockUsers
  readonly #tasks = new TaskUsers()
  readonly #schedules = new ScheduleUsers()
  readonly #once = new OnceUsers()
  readonly #watches = new WatchUsers(watchedMap, this.#truth)
  readonly #trustsClocks: boolean
  readonly #contexts = new Map<SimNode, { readonly process: Process, readonly context: PrimitiveContext }>()
  readonly #finalCounts = new Set<string>()

  constructor (world: World, network: Network, seed: number) {
    const { drift, users } = world.plan
    this.#world = world
    this.#seed = seed
    this.#notes = new NodeNotes(world, network)
    this.#claims = new Claims(world)
    this.#locks = new LockUsers(users.locks)
    this.#trustsClocks = (1 + drift) / (1 - drift) < trustedRatio
  }

  /** Whether there are any in this run. */
  get arePresent (): boolean { return this.#world.plan.users.thinkMs > 0 }

  /** What was seen of them. */
  get report () {
    return {
      counted: this.#locks.counted,
      turns: this.#queues.turns,
      singletonRuns: this.#tasks.runs,
      placedRuns: this.#tasks.placedRuns,
      slots: this.#schedules.slots,
      done: this.#once.done,
      watched: this.#watches.changes
    }
  }

  /** A node has started: its application starts as well. */
  started (sim: SimNode, context: PrimitiveContext): void {
    if (!this.arePresent) return
    const process = new Process(sim)
    const { users: { thinkMs } } = this.#world.plan
    const random = new SimRandom(this.#seed, `users of ${sim.node.id}`, sim.node.starts)
    let ids = 0
    const own: PrimitiveContext = {
      ...context,
      beats: new SessionBeats(context, this.#notes.of(sim)),
      random: () => random.next(),
      drawId: () => `${sim.node.id}.${sim.node.starts}.${++ids}`,
      sessionTtlMs: this.#world.plan.users.sessionTtlMs
    }
    this.#contexts.set(sim, { process, context: own })
    this.#queues.follow(context.machine)
    this.#followSessions(context.machine)
    const environment: UserEnvironment = {
      context: own,
      process,
      random,
      claims: this.#claims,
      trustsClocks: this.#trustsClocks,
      failed: (error) => { this.#world.failure ??= error }
    }
    this.#locks.start(environment, thinkMs)
    this.#tasks.start(environment)
    this.#schedules.start(environment)
    this.#once.start(environment, thinkMs)
    this.#watches.start(environment)
  }

  /** A node has applied a command. */
  applied (machine: ClusterStateMachine, command: Command, answer: Answer, index: number): void {
    if (!this.arePresent) return
    this.#truth.applied(command, answer, index)
    this.#queues.applied(machine, command, answer, index)
  }

  /** Everything is healed: reads what was counted on the members until that is done. */
  finish (members: readonly SimNode[]): void {
    const [reader] = members.flatMap((sim) => this.#contexts.get(sim) ?? [])
    if (reader === undefined) return
    const { context, process } = reader
    for (const name of this.#locks.names) {
      const environment: UserEnvironment = {
        context,
        process,
        random: new SimRandom(this.#seed, `end of ${name}`),
        claims: this.#claims,
        trustsClocks: this.#trustsClocks,
        failed: (error) => { this.#world.failure ??= error }
      }
      repeat(environment, 100, async () => {
        if (this.#finalCounts.has(name)) return
        const found = await createMap<number>(context, countersMap).get(name)
        this.#locks.check(name, found?.value ?? 0)
        this.#finalCounts.add(name)
      })
    }
  }

  /**
   * What the users of the members have still to see, or with `runsEnd` to complete; null when nothing.
   */
  missing (members: readonly SimNode[], runsEnd: boolean): string | null {
    if (!this.arePresent) return null
    const last = this.#truth.changes.at(-1)?.revision ?? 0
    const behind = members.filter((sim) => sim.node.isUp && !this.#watches.hasSeen(sim.node.id, last))
    if (behind.length > 0) return `a watch on ${behind.map(({ node }) => node.id).join(', ')}`
    if (runsEnd && this.#schedules.unfinished > 0) return `${this.#schedules.unfinished} slots that began`
    const uncounted = this.#locks.names.filter((name) => !this.#finalCounts.has(name))
    return uncounted.length > 0 ? `the counters ${uncounted.join(', ')}` : null
  }

  /** A session ends in the cluster only after its owner counts it as lost. */
  #followSessions (machine: ClusterStateMachine): void {
    if (!this.#trustsClocks) return
    machine.onSessionChange(({ kind, session }) => {
      if (kind !== 'expired') return
      for (const [sim, { process, context }] of this.#contexts) {
        const held = processSession(context).current
        if (held?.id !== session.id || !process.isAlive || sim.pausedUntilUs > this.#world.nowUs) continue
        throw new BrokenPromise(
          'a session ends after its owner knows',
          `${session.id} of ${process.id} expires while its owner counts on ${held.expiresInMs} ms`
        )
      }
    })
  }
}
