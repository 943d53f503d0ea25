import type {
  Configuration,
  ConfigurationChange,
  ConfigureRefusal,
  ConfigureResult,
  Entry,
  LeadershipView
} from '../core/index.ts'
import { asNodeId, isJoint } from '../core/index.ts'
import type { ChangeOptions, LeaderInfo, MemberInfo, MemberRole, Membership, MembershipChange } from '../engine.ts'
import {
  ChangePendingError,
  MemberExistsError,
  MemberLaggingError,
  MemberRoleError,
  NotLeaderError,
  OutcomeUnknownError,
  QuorumAtRiskError,
  UnknownMemberError,
  VersionMismatchError,
  WrongIncarnationError
} from '../errors.ts'
import { Waiter } from '../runtime/waiter.ts'

/** What {@link MemberChanges} needs of the node. */
export interface ConfigurableNode {
  readonly view: LeadershipView
  readonly configuration: Configuration
  readonly configurationIndex: number
  readonly appliedIndex: number
  readonly configure: (changes: readonly ConfigurationChange[], expectedIndex: number | null) => ConfigureResult
}

function roleOf ({ voters, learners }: Configuration, id: string): MemberRole {
  if (voters.some((voter) => voter === id)) return 'voter'
  return learners.some((learner) => learner === id) ? 'learner' : 'leaving'
}

/** The members of a configuration with their roles. */
export function toMembers (configuration: Configuration): readonly MemberInfo[] {
  return configuration.members.map(({ id, address, demoted, incarnation }) => ({
    id,
    url: address,
    role: roleOf(configuration, id),
    ...(demoted === true ? { demoted } : {}),
    ...(incarnation === '' ? {} : { incarnation })
  }))
}

function toCoreChanges (change: MembershipChange): readonly ConfigurationChange[] {
  const id = asNodeId(change.id)
  switch (change.kind) {
    case 'add-learner': return [{ kind: 'add-learner', id, address: change.url, incarnation: change.incarnation ?? '' }]
    case 'set-url': {
      const { url, incarnation } = change
      return [
        ...(incarnation === undefined ? [] : [{ kind: 'set-incarnation', id, incarnation } as const]),
        { kind: 'set-address', id, address: url }
      ]
    }
    case 'promote':
    case 'demote':
    case 'remove': return [{ kind: change.kind, id }]
  }
}

interface OpenChange {
  /** Where its first entry stands, and the term that it was appended in. */
  readonly index: number
  readonly term: number
  /** Whether that very entry was applied: the change is committed, and whoever leads completes it. */
  isCommitted: boolean
  readonly waiter: Waiter<Membership>
}

/** Changes of membership asked for on this node, from the first entry until the last one is applied. */
export class MemberChanges {
  readonly #node: ConfigurableNode
  readonly #leader: () => LeaderInfo | null
  #open: OpenChange[] = []

  constructor (node: ConfigurableNode, leader: () => LeaderInfo | null) {
    this.#node = node
    this.#leader = leader
  }

  membership (): Membership {
    const { configuration, configurationIndex, appliedIndex } = this.#node
    return {
      members: toMembers(configuration),
      version: configurationIndex,
      isSettled: !isJoint(configuration) && configurationIndex <= appliedIndex
    }
  }

  /** `unrecorded` goes into the same entry: what the leader knows of the members and the log does not say yet. */
  change (
    changes: readonly MembershipChange[],
    unrecorded: readonly ConfigurationChange[],
    options: ChangeOptions & { readonly timeoutMs: number }
  ): Promise<Membership> {
    const result = this.#node.configure([...unrecorded, ...changes.flatMap(toCoreChanges)], options.ifVersion ?? null)
    if (result.kind === 'refused') return Promise.reject(this.#explain(result.reason, changes))
    return this.#completed(result.index, options)
  }

  /**
   * Writes down what the log does not say yet; null when that is refused now. Resolves when it is complete, or when the
   * time is over.
   */
  record (unrecorded: readonly ConfigurationChange[], timeoutMs: number): Promise<void> | null {
    const result = this.#node.configure(unrecorded, null)
    if (result.kind === 'refused') return null
    // An entry whose outcome is not known is looked at again by whoever leads next.
    return this.#completed(result.index, { timeoutMs }).then(() => {}, () => {})
  }

  #completed (index: number, options: ChangeOptions & { readonly timeoutMs: number }): Promise<Membership> {
    const waiter = new Waiter<Membership>(options, () => new OutcomeUnknownError(options.timeoutMs), () => {
      this.#open = this.#open.filter((open) => open.waiter !== waiter)
    })
    this.#open.push({ index, term: this.#node.view.term, isCommitted: false, waiter })
    return waiter.promise
  }

  /**
   * This entry is being applied. Where a change was to stand, another leader may have put an entry of its own: then
   * nothing has changed, whatever the membership is later.
   */
  applying ({ index, term }: Entry): void {
    // With every entry that is applied: nearly always nothing is open.
    if (this.#open.length === 0) return
    for (const open of [...this.#open]) {
      if (open.index !== index) continue
      if (open.term === term) open.isCommitted = true
      else open.waiter.reject(this.#notLeader())
    }
  }

  /** More entries have been applied: a change may be complete. */
  applied (): void {
    if (this.#open.length === 0) return
    const membership = this.membership()
    for (const { index, isCommitted, waiter } of [...this.#open]) {
      if (!isCommitted) {
        // A snapshot stands for its entry, or for the one that has taken its place.
        if (index <= this.#node.appliedIndex) waiter.reject(new OutcomeUnknownError(0))
      } else if (membership.isSettled && index <= membership.version) waiter.resolve(membership)
    }
  }

  stop (reason: Error): void {
    for (const { waiter } of [...this.#open]) waiter.reject(new OutcomeUnknownError(0, { cause: reason }))
  }

  #notLeader (): Error { return new NotLeaderError(this.#leader()?.url ?? 'no leader is known') }

  #explain (reason: ConfigureRefusal, changes: readonly MembershipChange[]): Error {
    const ids = changes.map((change) => change.id).join(', ')
    switch (reason) {
      case 'not-leader': return this.#notLeader()
      case 'transferring': return new ChangePendingError('A transfer of leadership')
      case 'not-ready': return new ChangePendingError('The start of this leadership')
      case 'pending': return new ChangePendingError('A change of membership')
      case 'conflict': return new VersionMismatchError(this.#node.configurationIndex)
      case 'lagging': return new MemberLaggingError(`The member "${ids}"`)
      case 'quorum-at-risk': return new QuorumAtRiskError('Too few of the voters to be are within reach')
      case 'no-voter-left': return new QuorumAtRiskError('No voter would be left')
      case 'already-member':
      case 'address-in-use': return new MemberExistsError(ids)
      case 'unknown-member': return new UnknownMemberError(ids)
      case 'not-learner': return new MemberRoleError(`"${ids}" is no learner`)
      case 'other-incarnation': return new WrongIncarnationError(`the cluster knows "${ids}" by another log`)
      case 'not-voter': return new MemberRoleError(`"${ids}" is no voter`)
    }
  }
}
