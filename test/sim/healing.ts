import type { NodeId } from '../../src/raft/core/index.ts'
import { isJoint, participants } from '../../src/raft/core/index.ts'
import type { Callers } from './callers.ts'
import type { Checker } from './checker.ts'
import type { Clients, PendingProposal } from './clients.ts'
import { isQuorum } from './configurations.ts'
import type { Machines } from './machines.ts'
import type { Network } from './network.ts'
import { BrokenPromise } from './promise.ts'
import type { Users } from './users/users.ts'
import type { SimNode, World } from './world.ts'

/** An append, its write and its answer at their slowest once all is healed. */
const healedEntryUs = 2_500

/** Compacted entries were committed. */
function isLost ({ node, index, term }: PendingProposal): boolean {
  return index > node.core.base.index && node.entryAt(index)?.term !== term
}

function isDecided (pending: PendingProposal): boolean {
  const { node, start, index } = pending
  return !node.isUp || node.starts !== start || node.core.commitIndex >= index || isLost(pending)
}

/**
 * The end of a run: a majority of every configuration that may still be in force is healed; the other nodes stay down.
 * All calls must be answered, every member must catch up, and from then on no node disturbs the leader.
 */
export class Healing {
  readonly #world: World
  readonly #checker: Checker
  readonly #network: Network
  readonly #machines: Machines
  readonly #clients: Clients
  readonly #callers: Callers
  readonly #users: Users

  constructor (
    world: World,
    checker: Checker,
    network: Network,
    machines: Machines,
    clients: Clients,
    callers: Callers,
    users: Users
  ) {
    this.#world = world
    this.#checker = checker
    this.#network = network
    this.#machines = machines
    this.#clients = clients
    this.#callers = callers
    this.#users = users
  }

  async run (): Promise<void> {
    const clients = this.#clients
    const healed = await this.#heal()
    const limitUs = this.#limitUs() + this.#catchUpUs(healed)
    const undecided = [...clients.pending]
    const members = (): readonly SimNode[] => {
      const ids = this.#members(healed)
      return healed.filter(({ node }) => ids?.includes(node.id) === true)
    }
    let marker: PendingProposal | null = null
    await this.#require('a command is committed on every member', limitUs, () => {
      // Messages under way may still replace the leader, and then its command may be lost.
      if (marker === null || this.#isLost(marker)) marker = this.#proposeOnLeader(healed)
      const last = marker
      return (
        last !== null &&
        this.#members(healed) !== null &&
        members().every(({ node }) => node.core.commitIndex >= last.index) &&
        !this.#isLost(last)
      )
    })
    const readers = members()
    for (const sim of readers) clients.readUntilConfirmed(sim)
    await this.#require('every member reads', limitUs, () => readers.every(({ node }) => clients.hasRead(node.id)))
    // A removed node does not learn the outcome of its commands.
    await this.#serve(readers)
    await this.#checkUsers(readers)
    await this.#require('every proposal is decided', limitUs, () =>
      undecided.every((pending) => isDecided(pending) || this.#members(healed)?.includes(pending.node.id) === false)
    )
    if (clients.acknowledgedThrough > this.#checker.committed.length) {
      throw new BrokenPromise('acknowledged means committed', `${clients.acknowledgedThrough}`)
    }
    if (this.#world.plan.membership.configureUs > 0) await this.#checkCalm(healed)
    await this.#checkFalseHints(healed)
    this.#callers.check()
  }

  /** Every call under way is answered or given up, and every member serves new ones. */
  async #serve (members: readonly SimNode[]): Promise<void> {
    const { plan } = this.#world
    const limitUs = this.#limitUs() + 4_000 * plan.callers.timeoutMs
    const open = new Set(members)
    for (const sim of members) {
      this.#callers.prove(sim, () => {
        open.delete(sim)
      })
    }
    await this.#require('every member serves its callers', limitUs, () => open.size === 0)
    await this.#require('every call ends', limitUs, () => this.#callers.open === 0)
  }

  /** What the applications on the members count on comes true. */
  async #checkUsers (members: readonly SimNode[]): Promise<void> {
    const users = this.#users
    if (!users.arePresent) return
    users.finish(members)
    // Sessions end that nobody keeps, and runs that are lost begin again. With leases that lapse none comes to an end.
    const missing = (): string | null => users.missing(members, this.#isHeardInTime())
    if (await this.#world.runUntil(this.#limitUs() + 30_000_000, () => missing() === null)) return
    throw new BrokenPromise('liveness', `no progress after healing: ${missing() ?? ''}`)
  }

  /** No node disturbs the leader, neither a member nor a removed node that does not know it. */
  async #checkCalm (healed: readonly SimNode[]): Promise<void> {
    const { plan } = this.#world
    const electionUs = plan.electionTicksMax * plan.tickUs
    const leaders = (): string =>
      healed
        .filter(({ node }) => node.core.view.role === 'leader')
        .map(({ node }) => `${node.id} in ${node.core.view.term}`)
        .join(', ')
    await this.#world.runUntil(this.#limitUs() - 50 * electionUs)
    const before = leaders()
    await this.#world.runUntil(this.#world.nowUs + 10 * electionUs)
    if (leaders() !== before) {
      throw new BrokenPromise('who has left never disrupts', `first ${before}, then ${leaders()}`)
    }
  }

  /**
   * A leader that the others hear from stays, although connections to it are refused to all of them, and although one
   * of them is cut off and comes back.
   */
  async #checkFalseHints (healed: readonly SimNode[]): Promise<void> {
    const { plan, random } = this.#world
    if (plan.faults.refusalUs === 0 || !this.#isHeardInTime()) return
    const electionUs = plan.electionTicksMax * plan.tickUs
    await this.#world.runUntil(this.#limitUs() - 50 * electionUs)
    const leader = this.#leader(healed)
    const members = healed.filter(({ node }) => this.#members(healed)?.includes(node.id) === true)
    const voters = leader?.node.core.configuration.voters ?? []
    const others = members.filter((sim) => sim !== leader && voters.includes(sim.node.id))
    // Without the one that is cut off, the others must still be a quorum.
    if (leader === undefined || others.length <= Math.floor(voters.length / 2)) return
    const before = leader.node.core.view
    this.#network.isolate(random.pick(others).node.id, 0)
    this.#machines.refuseConnections(leader, healed, 5 * electionUs)
    await this.#world.runUntil(this.#world.nowUs + 6 * electionUs)
    this.#network.heal()
    await this.#world.runUntil(this.#world.nowUs + 6 * electionUs)
    const { role, term } = leader.node.core.view
    if (role !== 'leader' || term !== before.term) {
      throw new BrokenPromise(
        'a hint deposes no leader that others hear from',
        `${leader.node.id} led in ${before.term} and is ${role} in ${term}`
      )
    }
  }

  /** Whether a heartbeat of the slowest clock comes before a lease ends by the fastest one. */
  #isHeardInTime (): boolean {
    const { heartbeatTicks, leaseTicks, drift } = this.#world.plan
    return leaseTicks > 1 + (heartbeatTicks + 1) * (1 + drift) / (1 - drift)
  }

  /** The members of the leader's configuration; null while no node leads or a change is not complete. */
  #members (healed: readonly SimNode[]): readonly NodeId[] | null {
    const leader = this.#leader(healed)?.node.core
    if (leader === undefined || isJoint(leader.configuration) || leader.configurationIndex > leader.commitIndex) {
      return null
    }
    return participants(leader.configuration)
  }

  async #heal (): Promise<readonly SimNode[]> {
    const { plan, random, nodes } = this.#world
    this.#world.isHealed = true
    this.#network.heal()
    const { possible } = this.#checker.membership
    for (const { wal } of nodes) if (wal !== null) wal.isFull = false
    // A node with a damaged log cannot start, so it does not count.
    const order = random.shuffled(nodes.filter(({ node, isRotten, isLost }) => !isLost && (node.isUp || !isRotten)))
    let count = random.between(Math.floor(plan.size / 2) + 1, Math.min(plan.size, order.length))
    const isEnough = (): boolean =>
      possible.every((configuration) =>
        isQuorum(configuration, (id) => order.slice(0, count).some(({ node }) => node.id === id))
      )
    while (!isEnough() && count < order.length) count++
    const healed = order.slice(0, count)
    this.#world.note('heal', healed.map(({ node }) => node.id).join(' '))
    for (const sim of nodes) {
      if (!healed.includes(sim)) this.#machines.retire(sim, random)
      else if (!sim.node.isUp) this.#machines.start(sim)
    }
    await this.#world.settle()
    return healed.filter(({ isLost }) => !isLost)
  }

  /** What the slowest member lacks may come to it one entry at a time, each after the answer to the one before. */
  #catchUpUs (healed: readonly SimNode[]): number {
    const cores = healed.flatMap(({ node }) => (node.isUp ? [node.core] : []))
    return (
      healedEntryUs *
      (Math.max(...cores.map(({ lastIndex }) => lastIndex)) - Math.min(...cores.map(({ commitIndex }) => commitIndex)))
    )
  }

  #limitUs (): number {
    const { plan, nowUs } = this.#world
    return (
      nowUs +
      plan.faults.pausedUs +
      plan.disk.stallUs +
      plan.network.strayUs +
      60 * plan.electionTicksMax * plan.tickUs
    )
  }

  /** A leader whose leadership has taken effect. */
  #leader (sims: readonly SimNode[]): SimNode | undefined {
    return sims.find(
      ({ node }) =>
        node.core.view.role === 'leader' && node.core.commitIndex >= (node.core.leadershipIndex ?? Infinity)
    )
  }

  #proposeOnLeader (sims: readonly SimNode[]): PendingProposal | null {
    const leader = this.#leader(sims)
    return leader === undefined ? null : this.#clients.proposeOne(leader.node)
  }

  /** Whether the command will never be committed, or the leader that has it left before it was. */
  #isLost (pending: PendingProposal): boolean {
    const { node, index, term } = pending
    return (
      isLost(pending) || (node.core.view.role !== 'leader' && this.#checker.committed[index - 1]?.entry.term !== term)
    )
  }

  async #require (what: string, limitUs: number, isDone: () => boolean): Promise<void> {
    if (!(await this.#world.runUntil(limitUs, isDone))) {
      throw new BrokenPromise('liveness', `no progress after healing: ${what}`)
    }
  }
}
