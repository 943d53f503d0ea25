import type { AdminAnswer, AdminCall, AdminClient } from '../../gateway/internal.ts'
import type { Clock, Logger, MemberInfo, MemberRole, RaftControl } from '../../raft/index.ts'
import {
  InvalidRequestError,
  isRaftError,
  OtherClusterError,
  OtherSecretError,
  UnauthorizedError,
  UnknownMemberError
} from '../../raft/index.ts'
import type { Timers } from '../../raft/internal.ts'
import { otherClusterError, pause } from '../../raft/internal.ts'
import type { Applicant, MembershipStatus } from './members-answer.ts'
import { lostLogError, readErrorAnswer, readMembersAnswer, statusOf } from './members-answer.ts'
import { callTimeoutMs, firstPauseMs, isLasting, nextPauseMs } from './retry.ts'

/** The same obstacle is logged again only after this time. */
const repeatLogMs = 30_000
/** Obstacles that are remembered for that: each of the nodes to ask may have its own. */
const maxObstacles = 64

/** What a {@link Joiner} works with. */
interface JoinerOptions {
  readonly engine: RaftControl
  readonly applicant: Applicant
  /** URLs of the nodes to ask. */
  readonly nodes: readonly string[]
  /** Path of `members` on every node. */
  readonly membersPath: string
  readonly client: AdminClient
  readonly logger: Logger
  readonly clock: Clock
  readonly timers: Timers
}

/** A reason to wait that the next attempt may not meet. */
class Obstacle extends Error {
  override readonly name = 'Obstacle'
}

/**
 * Makes this node a voter of a running cluster: asks the cluster to add it as a learner, and to promote it once it has
 * caught up. A node that was a voter, or demoted, when it started asks for nothing; a learner asks for its promotion.
 */
export class Joiner {
  readonly #options: JoinerOptions
  readonly #stopped = new AbortController()
  #running: Promise<void> = Promise.resolve()
  #failure: Error | null = null
  #isDone = false
  /** Whether this process has asked to be added: then the cluster may know this very log as a member's. */
  #hasAsked = false
  /** Whether this process has removed a learner of its name, to be added in its place. */
  #hasReplaced = false
  /** UUID of the cluster to join, from the first answer that named one. */
  #clusterUuid: string | null = null
  #turn = 0
  /** When each obstacle was logged last. */
  readonly #logged = new Map<string, number>()

  constructor (options: JoinerOptions) {
    this.#options = options
    this.#isDone = this.#ownRole() === 'voter' || this.#isDemoted()
  }

  /** Whether this node still has to become a voter. */
  get isJoining (): boolean { return !this.#isDone }
  /** Whether this process has asked to be added: the cluster may have this node as a member that does not know it. */
  get hasAsked (): boolean { return this.#hasAsked }
  /** The final reason why it cannot join; null otherwise. */
  get failure (): Error | null { return this.#failure }

  start (): void {
    if (!this.#isDone) this.#running = this.#run()
  }

  async stop (): Promise<void> {
    this.#stopped.abort()
    await this.#running
  }

  async #run (): Promise<void> {
    const { logger, applicant } = this.#options
    for (let pauseMs = firstPauseMs; !this.#stopped.signal.aborted; pauseMs = nextPauseMs(pauseMs)) {
      try {
        if (await this.#attempt()) {
          this.#isDone = true
          logger.info({ clusterId: applicant.clusterId, role: this.#ownRole() }, 'joined the cluster')
          return
        }
        pauseMs = firstPauseMs
      } catch (error) {
        if (this.#stopped.signal.aborted) return
        if (isLastingError(error)) {
          this.#failure = error instanceof Error ? error : new Error(String(error))
          logger.error({ err: error }, 'this node cannot join the cluster')
          return
        }
        this.#logObstacle(error)
      }
      await this.#pause(pauseMs)
    }
  }

  /** Takes one step; resolves with whether it was the last one, and rejects with the obstacle. */
  async #attempt (): Promise<boolean> {
    const { engine } = this.#options
    const role = this.#ownRole()
    switch (role) {
      // Before the promotion is committed, another leader may take it back.
      case 'voter': return engine.membership().isSettled
      case 'learner':
        // An operator has decided that it is no voter.
        if (this.#isDemoted()) return true
        if (await this.#isPromoted()) return false
        break
      case 'leaving': return await this.#expectRemoval()
      case null: break
    }
    // What its own log says may be old: a joiner that was stopped while it caught up is in none of its configurations.
    await this.#enter()
    return false
  }

  /**
   * Its own log says that it is being removed. Once it is, nobody sends it the end of that: only the cluster knows.
   * Always rejects.
   */
  async #expectRemoval (): Promise<never> {
    const { role } = await this.#status()
    if (role === 'absent' && this.#ownRole() === 'leaving') throw removedError(this.#options.applicant.id)
    throw new Obstacle('this node is being removed from the cluster')
  }

  /** False when the cluster does not know this node. */
  async #isPromoted (): Promise<boolean> {
    const { url, answer } = await this.#send({
      method: 'POST',
      path: `/${encodeURIComponent(this.#options.applicant.id)}/promote`,
      body: {}
    })
    if (answer.statusCode === 404 && readErrorAnswer(answer.text)?.code === 'RAFT_UNKNOWN_MEMBER') return false
    this.#requireSuccess(url, answer)
    return true
  }

  /** Asks the cluster to add this node, unless it has been added, by what the cluster itself says. */
  async #enter (): Promise<void> {
    const { engine, applicant } = this.#options
    const { role, isOwnLog, hasMoved } = await this.#status()
    // A log that arrived in the meantime is newer than the answer.
    if (role !== 'absent' && this.#ownRole() !== null) return
    if (hasMoved) await this.#move()
    switch (role) {
      case 'voter':
        if (isOwnLog || engine.membership().version > 0) throw new Obstacle('promoted, and not told of it yet')
        throw lostLogError(applicant.id)
      case 'leaving': throw new Obstacle('a member of the same name is being removed')
      case 'learner':
        if (isOwnLog || this.#hasAsked) throw new Obstacle(`added, and not reached at ${applicant.url} yet`)
        // The leader may count on entries that an earlier node of this name had stored, so remove that member first.
        this.#hasReplaced = true
        await this.#call({ method: 'DELETE', path: `/${encodeURIComponent(applicant.id)}`, body: null })
        break
      case 'absent':
        // A removed node does not let itself in again. Only its own request to be added may have failed, or it has
        // removed the member itself.
        if (engine.hasBelonged() && !this.#hasReplaced) throw removedError(applicant.id)
        break
    }
    this.#hasAsked = true
    const { incarnation } = engine.status()
    await this.#call({ method: 'POST', path: '', body: { id: applicant.id, url: applicant.url, incarnation } })
    this.#options.logger.info({ clusterId: applicant.clusterId }, 'added to the cluster as a learner')
  }

  /** Tells the cluster where this member is now: nobody reaches it where it was. */
  async #move (): Promise<void> {
    const { engine, applicant: { id, url } } = this.#options
    const { incarnation } = engine.status()
    const body = { url, ifIncarnation: incarnation }
    await this.#call({ method: 'POST', path: `/${encodeURIComponent(id)}/url`, body })
  }

  async #status (): Promise<MembershipStatus> {
    const { applicant, engine } = this.#options
    const { url, answer } = await this.#send({ method: 'GET', path: '?read=linearizable', body: null })
    this.#requireSuccess(url, answer)
    const members = readMembersAnswer(answer.text)
    if (members === null) throw new Obstacle(`${url} did not answer as a node of a cluster does`)
    const status = statusOf(applicant, engine.status().incarnation, members, url)
    this.#recognise(members.clusterUuid ?? null, url)
    return status
  }

  /** The first cluster that answers is the one to join: from then on this node listens to no other of its name. */
  #recognise (uuid: string | null, url: string): void {
    const { engine, applicant: { id, clusterId } } = this.#options
    if (uuid === null) return
    const own = engine.clusterUuid()
    const known = own ?? this.#clusterUuid
    if (known === null) {
      this.#clusterUuid = uuid
      engine.expectCluster(uuid)
    } else if (known !== uuid) {
      const error = otherClusterError(clusterId, [url, uuid], [`"${id}"`, known])
      // A node that belongs to a cluster goes on asking: another one may have taken over an address.
      throw own === undefined ? error : new Obstacle(error.message)
    }
  }

  async #call (call: AdminCall): Promise<void> {
    const { url, answer } = await this.#send(call)
    this.#requireSuccess(url, answer)
  }

  /** A node that belongs to a cluster goes on asking: another one may have taken over an address. */
  #requireSuccess (url: string, answer: AdminAnswer): void {
    try {
      requireSuccess(url, answer)
    } catch (error) {
      if (!(error instanceof OtherClusterError) || this.#options.engine.clusterUuid() === undefined) throw error
      throw new Obstacle(error.message)
    }
  }

  /** Asks one node after the other, in turn; the path counts from `members`. */
  async #send (call: AdminCall): Promise<{ readonly url: string, readonly answer: AdminAnswer }> {
    const { client, membersPath } = this.#options
    const urls = this.#urls()
    const cluster = this.#options.engine.clusterUuid() ?? this.#clusterUuid ?? undefined
    const url = urls[this.#turn++ % urls.length] ?? ''
    const options = { timeoutMs: callTimeoutMs, signal: this.#stopped.signal, cluster }
    try {
      return { url, answer: await client.call(url, { ...call, path: membersPath + call.path }, options) }
    } catch (error) {
      // A node that belongs to a cluster goes on asking: the secret may be in the middle of being replaced.
      if (error instanceof OtherSecretError && this.#options.engine.clusterUuid() !== undefined) {
        throw new Obstacle(error.message)
      }
      throw error
    }
  }

  /** The members that this node knows of, and the nodes of the option `join`. */
  #urls (): readonly string[] {
    const { engine, nodes, applicant } = this.#options
    const members = engine
      .membership()
      .members.map(({ url }) => url)
      .filter((url) => url !== '' && url !== applicant.url)
    return [...new Set([...members, ...nodes])]
  }

  #ownRole (): MemberRole | null { return this.#ownEntry()?.role ?? null }

  #isDemoted (): boolean { return this.#ownEntry()?.demoted === true }

  #ownEntry (): MemberInfo | undefined {
    const { engine, applicant } = this.#options
    return engine.membership().members.find(({ id }) => id === applicant.id)
  }

  /** Until the time is over, or the membership has changed. */
  async #pause (pauseMs: number): Promise<void> {
    const { engine, timers } = this.#options
    const woken = new AbortController()
    const wake = (): void => { woken.abort() }
    engine.events.once('membership', wake)
    try {
      const signal = AbortSignal.any([woken.signal, this.#stopped.signal])
      await pause(timers, pauseMs * (0.75 + Math.random() / 2), signal, { background: true })
    } catch {
      // Woken.
    } finally {
      engine.events.off('membership', wake)
    }
  }

  #logObstacle (error: unknown): void {
    const what = error instanceof Error ? error.message : String(error)
    const nowMs = this.#options.clock.monotonicMs()
    if (nowMs - (this.#logged.get(what) ?? -Infinity) < repeatLogMs) return
    if (this.#logged.size >= maxObstacles) this.#logged.clear()
    this.#logged.set(what, nowMs)
    this.#options.logger.warn({ err: error }, 'not a voter of the cluster yet')
  }
}

function isLastingError (error: unknown): boolean {
  return isRaftError(error) && isLasting(error.code)
}

function removedError (id: string): Error {
  const error = new UnknownMemberError(id)
  error.message += ': this node belonged to it and was removed. To join again, give it another data directory, which ' +
    'is new and empty'
  return error
}

/** Throws the error that a node's refusal means for this node. */
function requireSuccess (url: string, { statusCode, text }: AdminAnswer): void {
  if (statusCode >= 200 && statusCode < 300) return
  const refusal = readErrorAnswer(text)
  switch (refusal?.code) {
    case 'RAFT_UNAUTHORIZED':
      throw new UnauthorizedError(`${url} refuses this node: ${refusal.message}`)
    case 'RAFT_OTHER_CLUSTER':
      throw new OtherClusterError(`${url} refuses this node: ${refusal.message}`)
    case 'RAFT_INVALID_REQUEST':
      throw new InvalidRequestError(`${url} refuses this node: ${refusal.message}`)
    default:
      throw new Obstacle(
        refusal === null
          ? `${url} answered ${statusCode}${hintOf(statusCode)}`
          : `${url} answered ${statusCode} ${refusal.code}: ${refusal.message}`
      )
  }
}

/** A node of this package says more than the status. */
function hintOf (statusCode: number): string {
  return [401, 403, 407].includes(statusCode)
    ? ', which is no answer of a node: if a proxy in front of it asks for credentials, name them in adminHeaders'
    : ''
}
