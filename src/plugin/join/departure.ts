import type { AdminClient } from '../../gateway/internal.ts'
import { AdminCallError, UnprovenAnswerError } from '../../gateway/internal.ts'
import type { Clock, Logger, RaftControl, WaitOptions } from '../../raft/index.ts'
import {
  ChangePendingError,
  InvalidRequestError,
  isRaftError,
  NoLeaderError,
  OutcomeUnknownError,
  QuorumAtRiskError,
  StoppedError,
  UnauthorizedError
} from '../../raft/index.ts'
import type { Timers } from '../../raft/internal.ts'
import { pause } from '../../raft/internal.ts'
import { readErrorAnswer } from './members-answer.ts'
import { firstPauseMs, nextPauseMs } from './retry.ts'

/** What a {@link Departure} works with. */
interface DepartureOptions {
  readonly engine: RaftControl
  readonly nodeId: string
  /** Path of `members` on every node. */
  readonly membersPath: string
  readonly client: AdminClient
  readonly logger: Logger
  readonly clock: Clock
  readonly timers: Timers
  /** URLs of nodes of the cluster to ask beside the members that this node knows. */
  readonly nodes: readonly string[]
  /** Whether the cluster may have this node as a member although its log does not say so. */
  readonly mayBeMember: () => boolean
}

/** How an attempt to be removed ended. `unknown`: it may have happened, or happen yet. */
type Attempt =
  | { readonly kind: 'removed' }
  | { readonly kind: 'refused' | 'unknown', readonly code: string, readonly message: string }

/** Refusals that say that the member with this log is gone. */
const goneCodes: ReadonlySet<string> = new Set(['RAFT_UNKNOWN_MEMBER', 'RAFT_WRONG_INCARNATION'])
/** Answers of a node that was asked, or of the leader behind it, when the change may be made all the same. */
const unknownCodes: ReadonlySet<string> = new Set(['RAFT_OUTCOME_UNKNOWN', 'RAFT_INTERNAL'])
/** How often one call may be waited for within the whole time: the next node may answer. */
const callsInTime = 3

/** Takes this node out of its cluster for good: hands leadership over, and has its member removed. */
export class Departure {
  readonly #options: DepartureOptions
  #turn = 0
  #hasLeft = false

  constructor (options: DepartureOptions) {
    this.#options = options
  }

  /**
   * Resolves when the cluster goes on without this node, at once when it is no member. This node has to go on until
   * then: its vote may be needed for the change. Names its log, so that a new member of the same name is not removed.
   *
   * Rejects with `RAFT_QUORUM_AT_RISK` when it is the last voter, or too few of the others are within reach;
   * `RAFT_CHANGE_PENDING` or `RAFT_NO_LEADER` when nobody made the change in time, and `RAFT_OUTCOME_UNKNOWN` when
   * somebody may have; with `RAFT_UNAUTHORIZED` or `RAFT_INVALID_REQUEST` when the others do not take such a call; with
   * the signal's reason. The node is a member as before then, unless the outcome is unknown.
   */
  async leave ({ timeoutMs, signal }: WaitOptions & { readonly timeoutMs: number }): Promise<void> {
    signal?.throwIfAborted()
    const { engine, logger, clock, timers, mayBeMember } = this.#options
    if (this.#hasLeft || (!this.#isMember() && !mayBeMember())) return
    this.#refuseLastVoter()
    const deadlineMs = clock.monotonicMs() + timeoutMs
    await engine.handOver()
    let mayBeGone = false
    let last: Exclude<Attempt, { kind: 'removed' }> = { kind: 'refused', code: 'RAFT_NO_LEADER', message: '' }
    for (let pauseMs = firstPauseMs; ; pauseMs = nextPauseMs(pauseMs)) {
      const leftMs = deadlineMs - clock.monotonicMs()
      if (leftMs <= 0) throw errorOf(last, mayBeGone, timeoutMs)
      const attempt = await this.#attempt(Math.max(1, Math.min(leftMs, timeoutMs / callsInTime)), signal)
      if (attempt.kind === 'removed') {
        this.#hasLeft = true
        logger.info({}, 'left the cluster: it goes on without this node')
        return
      }
      last = attempt
      mayBeGone ||= attempt.kind === 'unknown'
      logger.debug({ ...attempt }, 'not removed from the cluster yet')
      if (!mayBeGone) throwLasting(attempt)
      await pause(timers, Math.max(0, Math.min(pauseMs, deadlineMs - clock.monotonicMs())), signal)
    }
  }

  async #attempt (timeoutMs: number, signal: AbortSignal | undefined): Promise<Attempt> {
    const { engine, nodeId: id, membersPath, client } = this.#options
    const { incarnation } = engine.status()
    try {
      // Nobody took over: it removes itself.
      if (engine.currentLeadership() !== null) {
        await engine.changeMembership([{ kind: 'remove', id, incarnation }], { timeoutMs, ...signalOf(signal) })
        return { kind: 'removed' }
      }
      const url = this.#nextUrl()
      if (url === null) return { kind: 'refused', code: 'RAFT_NO_LEADER', message: 'there is no other member to ask' }
      const path = `${membersPath}/${encodeURIComponent(id)}?ifIncarnation=${incarnation}`
      const call = { method: 'DELETE', path, body: null } as const
      // Who has taken over the address of a member does not know this one either.
      const cluster = engine.clusterUuid()
      const { statusCode, text } = await client.call(url, call, { timeoutMs, cluster, ...signalOf(signal) })
      if (statusCode === 200) return { kind: 'removed' }
      const { code, message } = readErrorAnswer(text) ?? {
        code: 'RAFT_OUTCOME_UNKNOWN',
        message: `${url} answered ${statusCode}, not as a node of a cluster does`
      }
      return refusal(code, message)
    } catch (error) {
      signal?.throwIfAborted()
      // This node itself has stopped.
      if (error instanceof StoppedError) throw error
      if (error instanceof AdminCallError) {
        const kind = error.failure === 'not-sent' ? 'refused' : 'unknown'
        return { kind, code: 'RAFT_NO_LEADER', message: error.message }
      }
      if (error instanceof UnprovenAnswerError) {
        return { kind: 'unknown', code: 'RAFT_OUTCOME_UNKNOWN', message: error.message }
      }
      if (isRaftError(error)) return refusal(error.code, error.message)
      throw error
    }
  }

  /** The leader first, then one member after the other: each passes the call on. */
  #nextUrl (): string | null {
    const { engine, nodeId, nodes } = this.#options
    const leader = engine.leader()
    const members = [...(leader === null ? [] : [leader]), ...engine.members()]
    const urls = members.filter(({ id, url }) => id !== nodeId && url !== '').map(({ url }) => url)
    const others = [...new Set([...urls, ...nodes])]
    return others[this.#turn++ % Math.max(1, others.length)] ?? null
  }

  #isMember (): boolean {
    const { engine, nodeId } = this.#options
    return engine.members().some(({ id }) => id === nodeId)
  }

  #refuseLastVoter (): void {
    const { engine, nodeId } = this.#options
    const voters = engine.membership().members.filter(({ role }) => role === 'voter')
    if (voters.length > 1 || voters[0]?.id !== nodeId) return
    throw new QuorumAtRiskError(
      `"${nodeId}" is the last voter and cannot leave: nothing would be left of its cluster. Let another node join ` +
        'first; to end the cluster, stop this node and remove its data'
    )
  }
}

function refusal (code: string, message: string): Attempt {
  if (goneCodes.has(code)) return { kind: 'removed' }
  return { kind: unknownCodes.has(code) ? 'unknown' : 'refused', code, message }
}

/** Refusals that another attempt would meet as well. */
function throwLasting ({ code, message }: { readonly code: string, readonly message: string }): void {
  if (code === 'RAFT_UNAUTHORIZED') throw new UnauthorizedError(message)
  if (code === 'RAFT_INVALID_REQUEST') throw new InvalidRequestError(message)
}

function errorOf (
  { code, message }: { readonly code: string, readonly message: string },
  mayBeGone: boolean,
  timeoutMs: number
): Error {
  const cause = new Error(message)
  if (mayBeGone) return new OutcomeUnknownError(timeoutMs, { cause })
  switch (code) {
    case 'RAFT_QUORUM_AT_RISK': return new QuorumAtRiskError(message)
    case 'RAFT_CHANGE_PENDING': return new ChangePendingError('Another change of membership', { cause })
    default: return new NoLeaderError(timeoutMs, { cause })
  }
}

function signalOf (signal: AbortSignal | undefined): { readonly signal?: AbortSignal } {
  return signal === undefined ? {} : { signal }
}
