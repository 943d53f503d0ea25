import type { Configuration, ConfigurationChange, Message, NodeId } from '../core/index.ts'
import { WrongIncarnationError } from '../errors.ts'
import type { Logger } from '../runtime/logger.ts'
import type { Address } from '../transport/codec.ts'
import type { PeerIdentities } from '../transport/peer-identities.ts'

/** What {@link Incarnations} works with. */
export interface IncarnationsOptions {
  readonly nodeId: NodeId
  /** That of this node's log. */
  readonly own: string
  /** The configuration in force on this node. */
  readonly configuration: () => Configuration
  readonly isLeader: () => boolean
  readonly logger: Logger
}

/** What only a leader says: it leads because a quorum let it, and that is the quorum's to judge. */
function isOfLeader ({ kind }: Message): boolean {
  return kind === 'append-request' || kind === 'heartbeat-request' || kind === 'timeout-now'
}

function isAllOfLeader (said: readonly Message[] | 'snapshot'): boolean {
  return said === 'snapshot' || (said.length > 0 && said.every(isOfLeader))
}

/**
 * Tells a member from a node that comes back under its id without its log. Votes and acknowledgements are promises that
 * rest on that log (paper figure 2, persistent state): a node that has lost it would vote again in the same term, and
 * count for entries that it no longer has. So each log has a random incarnation, the configuration records the one of
 * each member, and nobody listens to another one under the same id.
 */
export class Incarnations implements PeerIdentities {
  readonly own: string
  readonly #options: IncarnationsOptions
  /**
   * Of members without a record, as the answers to this leader said. The first one counts: it may have acknowledged.
   */
  readonly #heard = new Map<NodeId, string>()
  readonly #logged = new Set<NodeId>()
  /** Told of every message that was meant for an earlier log of this node (true), or for this one (false). */
  onMeant: (isOther: boolean) => void = () => {}

  constructor (options: IncarnationsOptions) {
    this.#options = options
    this.own = options.own
  }

  /** The incarnation of a member that counts on this node; empty when any does. */
  of (id: NodeId): string {
    const recorded = this.#options.configuration().members.find((member) => member.id === id)?.incarnation ?? ''
    return recorded === '' ? this.#heard.get(id) ?? '' : recorded
  }

  /** Another leadership, or none: what was heard under the last one is in the configuration or does not count. */
  roleChanged (): void {
    this.#heard.clear()
  }

  /** What the configuration does not say yet and this leader knows. */
  unrecorded (): readonly ConfigurationChange[] {
    const { nodeId } = this.#options
    return this.#options.configuration().members.flatMap(({ id, incarnation }) => {
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
    if (expected === '' && this.#options.isLeader()) this.#heard.set(from, incarnation)
  }

  /**
   * Throws `RAFT_WRONG_INCARNATION` when a request is meant for an earlier log of this node, or comes from another one
   * of the sender than is known here. What a leader says passes even then: this node may be the one that is behind, and
   * has to hear from it who belongs now.
   */
  checkRequest ({ from, incarnation, meant }: Address, said: readonly Message[] | 'snapshot'): void {
    if (meant !== '') {
      this.onMeant(meant !== this.own)
      if (meant !== this.own) {
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
    if (!isAllOfLeader(said)) throw this.#refuse(from)
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

/** The reason why a node stops that has lost its log and finds out by what the others say. */
export function wipedError (nodeId: string): Error {
  return new WrongIncarnationError(
    `this node has another log than the member "${nodeId}" of its cluster: what that had stored is gone, and with it ` +
      'what it had promised. Nothing was changed. Put its data directory back, or remove the member and start this ' +
      'node with join instead of members'
  )
}
