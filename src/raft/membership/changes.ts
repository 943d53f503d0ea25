import type { ConfigurationChange, ConfigureRefusal, ConfigureResult, Entry } from '../core/index.ts'
import type { ChangeOptions, Membership, MembershipChange } from '../engine.ts'
import {
  ChangePendingError,
  MemberExistsError,
  MemberLaggingError,
  MemberRoleError,
  OutcomeUnknownError,
  QuorumAtRiskError,
  UnknownMemberError,
  VersionMismatchError,
  WrongIncarnationError
} from '../errors.ts'
import type { Timers } from '../runtime/timers.ts'
import { systemTimers } from '../runtime/timers.ts'
import { Waiter } from '../runtime/waiter.ts'
import type { ClusterView } from './members.ts'
import { leaderOf, membershipOf, toConfigurationChanges } from './members.ts'
import { notLeader } from './transfer.ts'

/** The node of {@link MemberChanges}. */
interface ConfigurableNode extends ClusterView {
  /** Appends a change; refused when the configuration is not that of `expectedIndex`, unless that is null. */
  readonly configure: (changes: readonly ConfigurationChange[], expectedIndex: number | null) => ConfigureResult
}

interface OpenChange {
  /** Log index of its first entry, and the term in which it was appended. */
  readonly index: number
  readonly term: number
  /** Whether exactly that entry was applied: the change is committed, and this or a later leader completes it. */
  isCommitted: boolean
  readonly waiter: Waiter<Membership>
}

/** Changes of membership requested on this node, from their first entry until their last one is applied. */
export class MemberChanges {
  readonly #node: ConfigurableNode
  readonly #timers: Timers
  #open: OpenChange[] = []

  constructor (node: ConfigurableNode, timers: Timers = systemTimers) {
    this.#node = node
    this.#timers = timers
  }

  /** Makes a change of membership. `unrecorded` goes into the same entry; see `Incarnations.unrecorded`. */
  change (
    changes: readonly MembershipChange[],
    unrecorded: readonly ConfigurationChange[],
    options: ChangeOptions & { readonly timeoutMs: number }
  ): Promise<Membership> {
    const all = [...unrecorded, ...changes.flatMap(toConfigurationChanges)]
    const result = this.#node.configure(all, options.ifVersion ?? null)
    if (result.kind === 'refused') return Promise.reject(this.#explain(result.reason, changes))
    return this.#completed(result.index, options)
  }

  /**
   * Records the membership, incarnations and addresses that the log does not have yet; null when that is refused now.
   * Resolves when the record is complete, or after the timeout.
   */
  record (unrecorded: readonly ConfigurationChange[], timeoutMs: number): Promise<void> | null {
    const result = this.#node.configure(unrecorded, null)
    if (result.kind === 'refused') return null
    // A failure is not reported: the next leader checks the log again.
    return this.#completed(result.index, { timeoutMs }).then(() => {}, () => {})
  }

  #completed (index: number, options: ChangeOptions & { readonly timeoutMs: number }): Promise<Membership> {
    const waiter = new Waiter<Membership>(options, () => new OutcomeUnknownError(options.timeoutMs), () => {
      this.#open = this.#open.filter((open) => open.waiter !== waiter)
    }, this.#timers)
    this.#open.push({ index, term: this.#node.view.term, isCommitted: false, waiter })
    return waiter.promise
  }

  /**
   * This entry is being applied. If another leader replaced the entry of a change by its own, the change has not
   * happened, even if a later membership looks like it.
   */
  applying ({ index, term }: Entry): void {
    // Called with every entry: nearly always no change is open.
    if (this.#open.length === 0) return
    for (const open of [...this.#open]) {
      if (open.index !== index) continue
      if (open.term === term) open.isCommitted = true
      else open.waiter.reject(notLeader(leaderOf(this.#node)))
    }
  }

  /** More entries have been applied: a change may be complete. */
  applied (): void {
    if (this.#open.length === 0) return
    const membership = membershipOf(this.#node)
    for (const { index, isCommitted, waiter } of [...this.#open]) {
      if (!isCommitted) {
        // A snapshot covers the entry of the change, or the entry that replaced it.
        if (index <= this.#node.appliedIndex) waiter.reject(new OutcomeUnknownError(0))
      } else if (membership.isSettled && index <= membership.version) waiter.resolve(membership)
    }
  }

  stop (reason: Error): void {
    for (const { waiter } of [...this.#open]) waiter.reject(new OutcomeUnknownError(0, { cause: reason }))
  }

  #explain (reason: ConfigureRefusal, changes: readonly MembershipChange[]): Error {
    const ids = changes.map((change) => change.id).join(', ')
    switch (reason) {
      case 'not-leader': return notLeader(leaderOf(this.#node))
      case 'transferring': return new ChangePendingError('A transfer of leadership')
      case 'not-ready': return new ChangePendingError('The start of this leadership')
      case 'pending': return new ChangePendingError('A change of membership')
      case 'conflict': return new VersionMismatchError(this.#node.configurationIndex)
      case 'lagging': return new MemberLaggingError(`The member "${ids}"`)
      case 'quorum-at-risk': return new QuorumAtRiskError('Too few of the new voters are within reach')
      case 'no-voter-left': return new QuorumAtRiskError('No voter would be left')
      case 'already-member':
      case 'address-in-use': return new MemberExistsError(ids)
      case 'unknown-member': return new UnknownMemberError(ids)
      case 'not-learner': return new MemberRoleError(`"${ids}" is not a learner`)
      case 'other-incarnation': return new WrongIncarnationError(`the cluster knows "${ids}" by another log`)
      // Only the leader itself founds, and it looks first.
      case 'already-founded': return new ChangePendingError('A change of membership')
      case 'not-voter': return new MemberRoleError(`"${ids}" is not a voter`)
    }
  }
}
