import type { ConfigurationChange, Message, NodeId } from '../core/index.ts'
import { WrongIncarnationError } from '../errors.ts'
import type { Logger } from '../runtime/logger.ts'
import type { Address } from '../transport/codec.ts'
import type { PeerIdentities } from '../transport/transport.ts'
import type { LostLog } from './distrust.ts'
import type { ClusterView } from './members.ts'

/** What {@link Incarnations} works with. */
interface IncarnationsOptions {
  readonly nodeId: NodeId
  /** Incarnation of this node's log. */
  readonly own: string
  readonly node: Pick<ClusterView, 'configuration' | 'view'>
  /** Told of every request that names the incarnation of this node, right or wrong. */
  readonly lostLog: Pick<LostLog, 'addressed'>
  readonly logger: Logger
}

/** What only a leader sends. It leads because a quorum elected it, so the quorum has judged its log. */
function isOfLeader ({ kind }: Message): boolean {
  return kind === 'append-request' || kind === 'heartbeat-request' || kind === 'timeout-now'
}

function isAllOfLeader (content: readonly Message[] | 'snapshot'): boolean {
  return content === 'snapshot' || (content.length > 0 && content.every(isOfLeader))
}

/**
 * Tells a member from a node that comes back under its id without its log. Votes and acknowledgements are promises that
 * rest on that log (paper figure 2, persistent state): a node that has lost it would vote again in the same term, and
 * count for entries that it no longer has. So each log has a random incarnation, the configuration records the one of
 * each member, and a node with another one under the same id is not heard.
 */
export class Incarnations implements PeerIdentities {
  readonly own: string
  readonly #options: IncarnationsOptions
  /**
   * Of members without a recorded incarnation, as their answers to this leader say. The first one counts: that node may
   * have acknowledged entries.
   */
  readonly #heard = new Map<NodeId, string>()
  readonly #logged = new Set<NodeId>()

  constructor (options: IncarnationsOptions) {
    this.#options = options
    this.own = options.own
  }

  /** The incarnation that a member must have on this node; empty when any does. */
  of (id: NodeId): string {
    const { node } = this.#options
    const recorded = node.configuration.members.find((member) => member.id === id)?.incarnation ?? ''
    return recorded === '' ? this.#heard.get(id) ?? '' : recorded
  }

  /** The role of this node changed: what it heard as the leader before is in the configuration or does not count. */
  roleChanged (): void {
    this.#heard.clear()
  }

  /** What this leader knows and the configuration does not say yet. */
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
    if (expected === '' && this.#options.node.view.role === 'leader') this.#heard.set(from, incarnation)
  }

  /**
   * Throws `RAFT_WRONG_INCARNATION` when a request is for an earlier log of this node, or comes from another
   * incarnation of the sender than this node knows. Messages of a leader pass even then: this node may be the one that
   * is behind, and must learn from the leader who belongs now.
   */
  checkRequest ({ from, incarnation, expectedIncarnation }: Address, content: readonly Message[] | 'snapshot'): void {
    if (expectedIncarnation !== '') {
      const isForThisLog = expectedIncarnation === this.own
      this.#options.lostLog.addressed(isForThisLog)
      if (!isForThisLog) {
        throw new WrongIncarnationError(
          `${from} means another node of the name "${this.#options.nodeId}", one that has its log`
        )
      }
    }
    const expected = this.of(from)
    if (expected === '' || expected === incarnation) {
      this.#logged.delete(from)
      return
    }
    if (!isAllOfLeader(content)) throw this.#refuse(from)
  }

  #refuse (from: NodeId): Error {
    const error = new WrongIncarnationError(
      `this is not the member "${from}" but a node that came back under its name without its log`
    )
    if (!this.#logged.has(from)) {
      this.#logged.add(from)
      this.#options.logger.error(
        { peer: from },
        'a member came back without its log and counts for nothing: remove it, then it can join again'
      )
    }
    return error
  }
}
