import type { Configuration, ConfigurationChange, Message, NodeId } from '../core/index.ts'
import { UnauthorizedError, WrongIncarnationError } from '../errors.ts'
import type { Logger } from '../runtime/logger.ts'
import type { Address } from '../transport/codec.ts'
import type { PeerIdentities } from '../transport/transport.ts'
import type { LostLog } from './distrust.ts'
import type { ClusterView } from './members.ts'

/** Options of {@link Incarnations}. */
interface IncarnationsOptions {
  readonly nodeId: NodeId
  /** Incarnation of this node's log. */
  readonly own: string
  readonly node: Pick<ClusterView, 'configuration' | 'configurationIndex' | 'view'> & {
    /** The latest configuration known to be committed and all later ones. */
    readonly possibleConfigurations: readonly Configuration[]
    /** Whether it leads, or has heard from a leader within the minimum election timeout. */
    readonly isInContact: boolean
  }
  /** Gets every request that has an expected incarnation, whether that is this node's or not. */
  readonly lostLog: Pick<LostLog, 'addressed'>
  readonly logger: Logger
}

/** Ids whose refusal is logged at most: anybody can invent more. */
const maxLogged = 100

/** Whether only a leader sends this. A quorum elected it, so that quorum has accepted its log. */
function isOfLeader ({ kind }: Message): boolean {
  return kind === 'append-request' || kind === 'heartbeat-request' || kind === 'timeout-now'
}

function isAllOfLeader (content: readonly Message[] | 'snapshot'): boolean {
  return content === 'snapshot' || (content.length > 0 && content.every(isOfLeader))
}

/**
 * Tells a member from a node that comes back under its id without its log. Votes and acknowledgements are promises that
 * rest on the log (paper figure 2, persistent state): a node that has lost it would vote again in the same term, and
 * count for entries that it no longer has. So each log has a random incarnation, the configuration records the
 * incarnation of each member, and messages of a node with the same id and another incarnation are refused.
 */
export class Incarnations implements PeerIdentities {
  readonly own: string
  readonly #options: IncarnationsOptions
  /**
   * Incarnations of members that have no recorded one, from their answers to this leader. The first answer counts: that
   * node may have acknowledged entries.
   */
  readonly #heard = new Map<NodeId, string>()
  readonly #logged = new Set<NodeId>()
  #wasAnswered = false

  constructor (options: IncarnationsOptions) {
    this.#options = options
    this.own = options.own
  }

  /** The expected incarnation of a member; empty when any is accepted. */
  of (id: NodeId): string {
    const { node } = this.#options
    const recorded = node.configuration.members.find((member) => member.id === id)?.incarnation ?? ''
    return recorded === '' ? this.#heard.get(id) ?? '' : recorded
  }

  /** The role of this node changed: drops the incarnations that it learnt as leader and did not record. */
  roleChanged (): void {
    this.#heard.clear()
  }

  /**
   * The members changed: what was heard of one that is gone is forgotten with it. Another node may be added under its
   * id, and the log of the first one must not be recorded for that.
   */
  membersChanged (): void {
    const { members } = this.#options.node.configuration
    for (const known of [this.#heard, this.#logged]) {
      for (const id of known.keys()) if (members.every((member) => member.id !== id)) known.delete(id)
    }
  }

  /** Changes that record the incarnations which this leader knows and the configuration does not have yet. */
  unrecorded (): readonly ConfigurationChange[] {
    const { nodeId, node } = this.#options
    return node.configuration.members.flatMap(({ id, incarnation }) => {
      const known = id === nodeId ? this.own : this.#heard.get(id)
      return incarnation !== '' || known === undefined
        ? []
        : [{ kind: 'set-incarnation', id, incarnation: known } as const]
    })
  }

  /** Throws `RAFT_WRONG_INCARNATION` when an answer does not come from the member that was asked. */
  checkAnswer ({ from, incarnation }: Address): void {
    const expected = this.of(from)
    if (expected !== '' && expected !== incarnation) throw this.#refuse(from)
    this.#logged.delete(from)
    this.#wasAnswered = true
    if (expected === '' && this.#options.node.view.role === 'leader') this.#heard.set(from, incarnation)
  }

  /**
   * Throws `RAFT_WRONG_INCARNATION` when the expected incarnation of a request is not this node's, or when the sender
   * has another incarnation than this node knows; `RAFT_UNAUTHORIZED` when the sender is no member.
   *
   * A sender that names this node's incarnation belongs to its cluster, or did, since only the cluster knows it. Such a
   * one may be a member that this node has not heard of yet, and what only a leader sends is taken from it whatever its
   * own incarnation: this node may be behind, and must learn the current configuration from the leader. But not while
   * this node hears from a leader that is a member: nobody newer is needed, and removed members know the names too.
   */
  checkRequest ({ from, incarnation, expectedIncarnation }: Address, content: readonly Message[] | 'snapshot'): void {
    const namesThisLog = this.#isForThisLog(from, expectedIncarnation)
    const mayBeNewer = (namesThisLog && !this.#hearsMember) || this.#isUnknownToMembers
    if (!mayBeNewer && !this.#isMember(from)) throw this.#refuseStranger(from)
    const expected = this.of(from)
    if (expected === '' || expected === incarnation) {
      this.#logged.delete(from)
      return
    }
    if (!mayBeNewer || !isAllOfLeader(content)) throw this.#refuse(from)
  }

  /** Whether a request names this node's incarnation; false when it names none. Throws when it names another one. */
  #isForThisLog (from: NodeId, expectedIncarnation: string): boolean {
    if (expectedIncarnation === '') return false
    const isForThisLog = expectedIncarnation === this.own
    this.#options.lostLog.addressed(isForThisLog)
    if (!isForThisLog) {
      throw new WrongIncarnationError(
        `${from} expects another incarnation of "${this.#options.nodeId}": the node that has that member's log`
      )
    }
    return true
  }

  /**
   * Whether members that this node has not heard of cannot name its incarnation, because no configuration here has it:
   * this node waits to be added, or is at its first start. A first member takes nothing from strangers before another
   * first member has answered it: until then there is no cluster that it could have missed a change of.
   */
  get #isUnknownToMembers (): boolean {
    const { nodeId, node: { configuration, configurationIndex } } = this.#options
    const self = configuration.members.find(({ id }) => id === nodeId)
    if (self === undefined) return configurationIndex === 0
    return self.incarnation === '' && (configurationIndex > 0 || this.#wasAnswered)
  }

  /** Whether this node leads, or hears from a leader that belongs. */
  get #hearsMember (): boolean {
    const { view: { role, leader }, isInContact } = this.#options.node
    return role === 'leader' || (isInContact && leader !== null && this.#isMember(leader))
  }

  /** Whether it belongs by any configuration that may be in force: a leader that removes itself still leads. */
  #isMember (id: NodeId): boolean {
    return this.#options.node.possibleConfigurations.some(({ members }) => members.some((member) => member.id === id))
  }

  #refuseStranger (from: NodeId): Error {
    if (!this.#logged.has(from) && this.#logged.size < maxLogged) {
      this.#logged.add(from)
      this.#options.logger.warn({ peer: from }, 'a node that is no member called as a peer and was refused')
    }
    return new UnauthorizedError(
      `"${from}" is no member of the cluster that "${this.#options.nodeId}" belongs to. A node has to be added ` +
        'first: start it with join'
    )
  }

  #refuse (from: NodeId): Error {
    const error = new WrongIncarnationError(
      `this is not the member "${from}" but a node that came back under its id without its log`
    )
    if (!this.#logged.has(from) && this.#logged.size < maxLogged) {
      this.#logged.add(from)
      this.#options.logger.error(
        { peer: from },
        'a member came back without its log and is ignored: remove it, then it can join again'
      )
    }
    return error
  }
}
