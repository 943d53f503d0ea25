import type { ConfigurationChange, ConfigurationMember, NodeId } from '../core/index.ts'
import type { Member } from '../engine.ts'
import type { Address } from '../transport/codec.ts'
import type { PeerUrls } from '../transport/transport.ts'
import type { ClusterView } from './members.ts'

/** Options of {@link MemberUrls}. */
interface MemberUrlsOptions {
  readonly nodeId: NodeId
  /** Where the options of this start say that this node is reached; empty when they do not. */
  readonly own: string
  /** The members of the options of this start. They say where to look for a member, and not who belongs. */
  readonly members: readonly Member[]
  /** URLs of the options at which any member may be. */
  readonly anyOf: readonly string[]
  /** Whether this node may connect to a URL that another node names. */
  readonly accept: (url: string) => boolean
  readonly node: Pick<ClusterView, 'configuration' | 'configurationIndex' | 'appliedIndex'>
  /** A node that has moved tells its peers so once in so many ticks. */
  readonly announceEveryTicks: number
}

/** URLs of one member that others have named lately and that are worth a look. */
const maxTold = 4

/**
 * Where members are reached when the log does not say it, or says it wrongly: after a restart at other addresses. The
 * log says who belongs, and each node says where it is reached: its options know that better than the log. What counts
 * for a member is only its own word, where it has answered with its recorded log; everything else is a place to look.
 */
export class MemberUrls implements PeerUrls {
  readonly #options: MemberUrlsOptions
  // By incarnation: a member that was removed and added again under its id is another one.
  /** Where a member says that it is reached itself, until the log says so too. */
  readonly #announced = new Map<string, string>()
  /** Where other nodes say that a member is reached, newest first. */
  readonly #told = new Map<string, readonly string[]>()
  /** Where a member has answered last. */
  readonly #confirmed = new Map<string, string>()
  /** Whether the log has said what the options say: a URL that is set by hand later stays. */
  #isOwnRecorded = false
  #ticks = 0

  constructor (options: MemberUrlsOptions) {
    this.#options = options
  }

  get own (): string {
    return this.#ownUnrecorded() ?? (this.#ownAddress || this.#options.own)
  }

  candidates (id: NodeId): readonly string[] {
    const { members, anyOf, own } = this.#options
    const member = this.#recorded(id)
    // Its log would be taken for the member's at the first address where any node answers under this id.
    if (member === null) return []
    const named = [
      this.#announced.get(member.incarnation) ?? '',
      members.find((candidate) => candidate.id === id)?.url ?? '',
      member.address,
      ...(this.#told.get(member.incarnation) ?? []),
      ...anyOf
    ]
    return [...new Set(named)].filter((url) => url !== '' && url !== own)
  }

  heard ({ from, incarnation }: Address, members: readonly Member[]): string | null {
    // A leader passes with a log that this node does not know; it may be the node that is behind, or not.
    if (this.#recorded(from)?.incarnation !== incarnation) return null
    let own: string | null = null
    for (const { id, url } of members) {
      const member = this.#recorded(id)
      if (member === null || !this.#options.accept(url)) continue
      if (member.id === from) own = url
      if (url === member.address) {
        if (member.id === from) this.#announced.delete(incarnation)
      } else if (member.id === from) this.#announced.set(incarnation, url)
      else {
        const told = this.#told.get(member.incarnation) ?? []
        this.#told.set(member.incarnation, [url, ...told.filter((other) => other !== url)].slice(0, maxTold))
      }
    }
    return own
  }

  confirmed (id: NodeId, url: string): void {
    const member = this.#recorded(id)
    if (member !== null) this.#confirmed.set(member.incarnation, url)
  }

  /**
   * Changes for the leader that record where members say they are reached: this node by its own word, the others where
   * they have answered besides.
   */
  unrecorded (): readonly ConfigurationChange[] {
    const { nodeId, node } = this.#options
    return node.configuration.members.flatMap(({ id, address, incarnation }) => {
      const said = id === nodeId ? this.#ownUnrecorded() : this.#announced.get(incarnation)
      const url = id === nodeId || this.#confirmed.get(incarnation) === said ? said : undefined
      return url === undefined || url === address ? [] : [{ kind: 'confirm-address', id, address: url } as const]
    })
  }

  /** Counts a tick; returns whether it is time to tell the peers where this node is reached. */
  tick (): boolean {
    const { own, node: { configurationIndex, appliedIndex }, announceEveryTicks } = this.#options
    if (configurationIndex <= appliedIndex) {
      if (this.#ownAddress === own) this.#isOwnRecorded = true
      this.#dropRecorded()
    }
    if (this.#ownUnrecorded() === undefined) return false
    return this.#ticks++ % announceEveryTicks === 0
  }

  /** Drops what the log says by now, so that it does not undo a later change by hand, and what is of no member. */
  #dropRecorded (): void {
    const { members } = this.#options.node.configuration
    const addressOf = (incarnation: string): string | undefined =>
      members.find((member) => member.incarnation === incarnation)?.address
    for (const [incarnation, url] of this.#announced) {
      const address = addressOf(incarnation)
      if (address === undefined || address === url) this.#announced.delete(incarnation)
    }
    for (const found of [this.#told, this.#confirmed]) {
      for (const incarnation of found.keys()) if (addressOf(incarnation) === undefined) found.delete(incarnation)
    }
  }

  /** Where this node is reached, unless the log says so. A sole voter without a URL gets it with its first member. */
  #ownUnrecorded (): string | undefined {
    const { own } = this.#options
    const address = this.#ownAddress
    return this.#isOwnRecorded || own === '' || address === '' || address === own ? undefined : own
  }

  /** Where the log says that this node is reached; empty when it does not. */
  get #ownAddress (): string {
    const { nodeId, node } = this.#options
    return node.configuration.members.find(({ id }) => id === nodeId)?.address ?? ''
  }

  /** The member of this id, if its log is recorded: only then can a node prove that it is that member. */
  #recorded (id: string): ConfigurationMember | null {
    const member = this.#options.node.configuration.members.find((candidate) => candidate.id === id)
    return member === undefined || member.incarnation === '' ? null : member
  }
}
