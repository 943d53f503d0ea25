import { readNodeUrl } from '../../gateway/internal.ts'
import type { LeaderInfo, Member, Membership, MembershipChange, RaftControl, WaitOptions } from '../../raft/index.ts'
import { InvalidOptionsError } from '../../raft/index.ts'
import { isLoopbackHostname } from '../options/loopback.ts'
import type { MemberReach } from '../options/member-rules.ts'
import { idRule, incarnationRule, isIncarnation, isMemberId, maxMembers } from '../options/member-rules.ts'
import { waysOut } from '../options/ways-out.ts'
import type { MemberChangeOptions, MemberUrlOptions, NewMember, TransferOptions } from './types.ts'

/** What a {@link MemberControl} is built from. */
interface MemberControlOptions {
  readonly engine: RaftControl
  readonly nodeId: string
  /** The address of this node by its options; empty for a lone node that was given none. */
  readonly ownUrl: string
  /** Where members may be. */
  readonly memberReach: MemberReach
  readonly defaultTimeoutMs: number
  /** Lets work of the leader stop, for so long at most, before a change that ends its leadership. */
  readonly makeRoom: <T>(change: () => Promise<T>, withinMs: number) => Promise<T>
}

/** Changes of membership and leadership that this node is asked for. */
export class MemberControl {
  readonly #options: MemberControlOptions

  constructor (options: MemberControlOptions) {
    this.#options = options
  }

  async add (member: NewMember, options: MemberChangeOptions = {}): Promise<Membership> {
    const added = this.#readMember(member)
    if (this.#options.engine.members().length >= maxMembers) {
      throw new InvalidOptionsError(`a cluster has at most ${maxMembers} members`)
    }
    return await this.#change([...this.#ownAddress(), { kind: 'add-learner', ...added }], options)
  }

  async change (
    kind: 'promote' | 'demote',
    id: string,
    options: MemberChangeOptions = {}
  ): Promise<Membership> {
    checkId(id)
    const change = (): Promise<Membership> => this.#change([{ kind, id }], options)
    return await (kind === 'demote' ? this.#leaving(id, change, options) : change())
  }

  async remove (id: string, { ifIncarnation, ...options }: MemberUrlOptions = {}): Promise<Membership> {
    checkId(id)
    checkIncarnation(ifIncarnation)
    const log = ifIncarnation === undefined ? {} : { incarnation: ifIncarnation }
    return await this.#leaving(id, () => this.#change([{ kind: 'remove', id, ...log }], options), options)
  }

  async changeUrl (
    id: string,
    url: string,
    { ifIncarnation, ...options }: MemberUrlOptions = {}
  ): Promise<Membership> {
    return await this.#change(
      [{ kind: 'set-url', ...this.#readMember({ id, url, incarnation: ifIncarnation }) }],
      options
    )
  }

  async transfer (to: string | null, options: TransferOptions = {}): Promise<LeaderInfo> {
    const { engine, nodeId } = this.#options
    if (to !== null) checkId(to)
    checkTimeout(options)
    const leader = engine.leader()
    if (to === nodeId && engine.currentLeadership() !== null && leader !== null) return leader
    const transfer = (): Promise<LeaderInfo> => engine.transferLeadership(to, options)
    const isKnown = to === null || engine.members().some(({ id }) => id === to)
    return await (isKnown ? this.#handingOver(transfer, options) : transfer())
  }

  async stepDown (): Promise<void> {
    await this.#handingOver(() => this.#options.engine.stepDown())
  }

  /** A leader that takes itself out of the voters gives its leadership up. */
  async #leaving<T> (id: string, change: () => Promise<T>, options: WaitOptions): Promise<T> {
    return await (id === this.#options.nodeId ? this.#handingOver(change, options) : change())
  }

  async #handingOver<T> (change: () => Promise<T>, { timeoutMs = Infinity }: WaitOptions = {}): Promise<T> {
    const { engine, makeRoom } = this.#options
    return await (engine.currentLeadership() === null ? change() : makeRoom(change, timeoutMs / 2))
  }

  async #change (changes: readonly MembershipChange[], options: MemberChangeOptions): Promise<Membership> {
    const { engine, defaultTimeoutMs } = this.#options
    const { ifVersion } = options
    if (ifVersion !== undefined && (!Number.isSafeInteger(ifVersion) || ifVersion < 0)) {
      throw new InvalidOptionsError('ifVersion is a non-negative integer')
    }
    checkTimeout(options)
    return await engine.changeMembership(changes, { ...options, timeoutMs: options.timeoutMs ?? defaultTimeoutMs })
  }

  #readMember (member: NewMember): Member & { readonly incarnation?: string } {
    if (typeof member !== 'object' || member === null) {
      throw new InvalidOptionsError('a member is an object { id, url }')
    }
    checkId(member.id)
    const { id, url, incarnation } = member
    checkIncarnation(incarnation)
    return { id, url: this.#readUrl(url), ...(incarnation === undefined ? {} : { incarnation }) }
  }

  #readUrl (text: string): string {
    const url =
      typeof text === 'string' ? readNodeUrl(text) : ({ kind: 'fault', message: 'must be a string' } as const)
    if (url.kind === 'fault') throw new InvalidOptionsError(`url ${url.message}`)
    // This node connects to the URL again and again, so not every caller may choose any.
    const { anywhere, onlyHttps } = this.#options.memberReach
    if (!anywhere && !isLoopbackHostname(url.hostname)) {
      throw new InvalidOptionsError(
        `url ${url.origin} is not on this machine, and nothing proves who peers are: ${waysOut}`
      )
    }
    if (onlyHttps && !url.origin.startsWith('https:')) {
      throw new InvalidOptionsError(`url ${url.origin} must start with https://: members show certificates`)
    }
    return url.origin
  }

  /** A lone node may have no address in the log, and then no other node could join it. */
  #ownAddress (): MembershipChange[] {
    const { engine, nodeId, ownUrl } = this.#options
    if (engine.members().every(({ url }) => url !== '')) return []
    if (ownUrl === '') {
      throw new InvalidOptionsError(
        `${nodeId} has no address that others could reach: start it with members: [{ id, url }]`
      )
    }
    return [{ kind: 'set-url', id: nodeId, url: this.#readUrl(ownUrl) }]
  }
}

function checkId (id: unknown): void {
  if (!isMemberId(id)) throw new InvalidOptionsError(`an id must be ${idRule.mustBe}`)
}

function checkIncarnation (incarnation: unknown): void {
  if (incarnation !== undefined && !isIncarnation(incarnation)) {
    throw new InvalidOptionsError(`an incarnation is ${incarnationRule.mustBe}`)
  }
}

function checkTimeout ({ timeoutMs }: WaitOptions): void {
  if (timeoutMs !== undefined && !(timeoutMs >= 0)) {
    throw new InvalidOptionsError('timeoutMs is a number of milliseconds, at least 0')
  }
}
