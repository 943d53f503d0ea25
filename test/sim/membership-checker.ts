import type { Configuration, ConfigurationEntry, Entry, HardState, NodeId } from '../../src/raft/core/index.ts'
import { isJoint, participants } from '../../src/raft/core/index.ts'
import type { CoreNode, Step } from '../support/core-node.ts'
import { alwaysOverlap, describeConfiguration, isQuorum } from './configurations.ts'
import { BrokenPromise } from './promise.ts'

interface HeldConfiguration {
  /** Index and term of its entry: no two entries share both. */
  readonly key: string
  readonly configuration: Configuration
  /** The configuration before it in the log of the leader that created it. */
  readonly after: string
}

const initialKey = 'initial'
function keyOf ({ index, term }: Entry): string {
  return `${index}:${term}`
}

/**
 * Checks membership: which configurations may be in force anywhere, that elections and commits have a quorum of the one
 * in force, and that removed nodes do not disturb the others (paper section 6).
 */
export class MembershipChecker {
  readonly #committed: (index: number) => Entry | undefined
  /** The last configuration of the committed log. */
  #settled: Pick<HeldConfiguration, 'key' | 'configuration'>
  readonly #committedEntries: ConfigurationEntry[] = []
  /** Every configuration entry that any leader ever created. */
  readonly #created: HeldConfiguration[] = []
  /** In force on each node before the step that is being checked. */
  readonly #inForce = new Map<NodeId, Configuration>()
  /** Votes given in each term, by voter. */
  readonly #votes = new Map<number, Map<NodeId, NodeId>>()
  /** Index of the no-op of each term whose leadership took effect. */
  readonly #tokens = new Map<number, number>()

  constructor (initial: Configuration, committed: (index: number) => Entry | undefined) {
    this.#settled = { key: initialKey, configuration: initial }
    this.#committed = committed
  }

  /** Configuration entries created so far. */
  get changes (): number { return this.#created.length }

  /**
   * The last committed configuration, and all that follow it in some log: a node whose log lacks a committed entry
   * cannot be elected any more.
   */
  get possible (): readonly Configuration[] {
    const keys = new Set([this.#settled.key])
    const following = this.#created.filter(({ key, after }) => keys.has(after) && keys.add(key))
    return [this.#settled, ...following].map(({ configuration }) => configuration)
  }

  /** The configuration that counted in the step being checked. */
  before (id: NodeId): Configuration {
    const configuration = this.#inForce.get(id)
    if (configuration === undefined) throw new Error(`${id} never started`)
    return configuration
  }

  /** To be called when a node has started and at the end of every step. */
  remember (node: CoreNode): void {
    this.#inForce.set(node.id, node.core.configuration)
  }

  voted (node: CoreNode, { term, vote }: HardState): void {
    if (vote === null) return
    const votes = this.#votes.get(term) ?? new Map<NodeId, NodeId>()
    this.#votes.set(term, votes.set(node.id, vote))
  }

  elected (node: CoreNode, term: number): void {
    const configuration = this.before(node.id)
    const votes = this.#votes.get(term)
    if (isQuorum(configuration, (id) => votes?.get(id) === node.id)) return
    throw new BrokenPromise(
      'elections need a quorum',
      `${node.id} leads term ${term} without one of ${describeConfiguration(configuration)}`
    )
  }

  /** A leader has created a configuration entry. */
  created (node: CoreNode, entry: ConfigurationEntry): void {
    const { configuration } = entry
    const previous = node.log.filter(isConfiguration).findLast(({ index }) => index < entry.index) ??
      this.#committedEntries.findLast(({ index }) => index <= node.core.base.index)
    this.#checkOneAtATime(node, entry, previous)
    for (const other of this.possible) {
      if (alwaysOverlap(configuration, other)) continue
      throw new BrokenPromise(
        'quorums overlap',
        `${node.id} adds ${describeConfiguration(configuration)} at ${entry.index} beside ${describeConfiguration(other)}`
      )
    }
    this.#created.push({
      key: keyOf(entry),
      configuration,
      after: previous === undefined ? initialKey : keyOf(previous)
    })
  }

  #checkOneAtATime (node: CoreNode, entry: ConfigurationEntry, previous: ConfigurationEntry | undefined): void {
    const { commitIndex } = node.core
    if (previous !== undefined && previous.index > commitIndex) {
      throw new BrokenPromise(
        'one change at a time',
        `${node.id} adds ${entry.index} while ${previous.index} is pending`
      )
    }
    const noop = node.log.find(({ term }) => term === entry.term)
    const isForgotten = node.core.base.term === entry.term
    if (!isForgotten && (noop === undefined || noop.index > commitIndex)) {
      throw new BrokenPromise(
        "a change waits for the term's no-op",
        `${node.id} adds ${entry.index} in term ${entry.term}`
      )
    }
    if (previous !== undefined && isJoint(previous.configuration) && isJoint(entry.configuration)) {
      throw new BrokenPromise(
        'one change at a time',
        `${node.id} adds ${entry.index} before the joint configuration of ${previous.index} is left`
      )
    }
  }

  /** An entry is committed for the first time, by this node. */
  committed (node: CoreNode, entry: Entry, holders: ReadonlySet<NodeId>): void {
    const inForce = this.before(node.id)
    if (!isQuorum(inForce, (id) => holders.has(id))) {
      throw new BrokenPromise(
        'committed means durable on a quorum',
        `${node.id} commits ${entry.index}, held by ${[...holders].join(' ')} of ${describeConfiguration(inForce)}`
      )
    }
    if (entry.kind !== 'configuration') return
    this.#settled = { key: keyOf(entry), configuration: entry.configuration }
    this.#committedEntries.push(entry)
  }

  /** Tokens of leaderships that took effect rise with the terms. */
  checkToken (node: CoreNode): void {
    const { view: { role, term }, leadershipIndex, commitIndex } = node.core
    if (role !== 'leader' || leadershipIndex === null || leadershipIndex > commitIndex) return
    const known = this.#tokens.get(term)
    if (known === leadershipIndex) return
    if (this.#committed(leadershipIndex)?.term !== term) {
      throw new BrokenPromise('tokens rise', `${node.id} holds ${leadershipIndex}, which is no entry of term ${term}`)
    }
    for (const [otherTerm, token] of this.#tokens) {
      if (otherTerm === term || (otherTerm < term) !== (token < leadershipIndex)) {
        throw new BrokenPromise(
          'tokens rise',
          `${node.id} holds ${leadershipIndex} in term ${term}, term ${otherTerm} had ${token}`
        )
      }
    }
    this.#tokens.set(term, leadershipIndex)
  }

  /** A leader was deposed in this step. */
  deposed (node: CoreNode, step: Step): void {
    if (step.kind !== 'receive') return
    const { message } = step
    // An answer from a node removed meanwhile belongs to a request that this leader sent before.
    const isRequest =
      message.kind === 'vote-request' ||
      message.kind === 'pre-vote-request' ||
      message.kind === 'pre-vote-response' ||
      message.kind === 'timeout-now'
    if (!isRequest || participants(this.before(node.id)).includes(message.from)) return
    throw new BrokenPromise(
      'who has left never disrupts',
      `${node.id} gives up term for a ${message.kind} of ${message.from}`
    )
  }
}

function isConfiguration (entry: Entry): entry is ConfigurationEntry {
  return entry.kind === 'configuration'
}
