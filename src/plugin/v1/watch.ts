import { createHash } from 'node:crypto'
import type { LeaderInfo, MemberInfo } from '../../raft/index.ts'
import type { Timers } from '../../raft/internal.ts'
import { systemTimers } from '../../raft/internal.ts'
import type { Cluster } from '../cluster/cluster.ts'

/** What a watch may cost. Durations in milliseconds. */
export const watchLimits = {
  /** Watches of a node that wait at once; the next one is answered at once. */
  maxWatches: 256,
  /** How long one may wait: shorter than proxies take an idle connection for dead. */
  maxWatchMs: 30_000,
  /** How often a node looks for what changes with time alone. */
  lookMs: 100
} as const

/** What a node tells of itself and of its cluster, as plain JSON. */
interface WatchedView {
  readonly nodeId: string
  readonly clusterId: string
  /** Whether it takes requests, as its `readyz`. */
  readonly ready: boolean
  /** The leader that it knows of. */
  readonly leader: LeaderInfo | null
  /** Of the members, as in `members`. */
  readonly membershipVersion: number
  readonly members: ReadonlyArray<Pick<MemberInfo, 'id' | 'url' | 'role'>>
}

/** A view and what it is compared by. */
type TaggedView = WatchedView & { readonly tag: string }

/** What a {@link Watch} works with. */
interface WatchParts {
  readonly cluster: Pick<Cluster, 'nodeId' | 'clusterId' | 'leader' | 'membership' | 'on'>
  readonly isReady: () => boolean
  /** The timers of this process when left out. */
  readonly timers?: Timers
}

/** A watch that waits: what its caller has, and how it is told. */
interface Waiting {
  readonly after: string
  readonly answer: (view: TaggedView) => void
}

/**
 * Tells those outside who watch this node of each change of what they need in order to reach the cluster: the leader,
 * who belongs and where they are, and whether this node takes requests.
 *
 * A watch is a question that waits for its answer to change, told by the tag of the last one. The tag is a digest of
 * the answer, so that nothing is kept for a caller, none misses a change between two questions, and a node that was
 * started anew is no special case.
 */
export class Watch {
  readonly #parts: WatchParts
  readonly #waiting = new Set<Waiting>()
  readonly #timers: Timers
  #cancelLook: (() => void) | null = null
  #isClosed = false

  constructor (parts: WatchParts) {
    this.#parts = parts
    this.#timers = parts.timers ?? systemTimers
    parts.cluster.on('leaderChanged', () => { this.look() })
    parts.cluster.on('membershipChanged', () => { this.look() })
  }

  /** How many wait. */
  get size (): number {
    return this.#waiting.size
  }

  /** What this node tells now. */
  view (): TaggedView {
    const { cluster, isReady } = this.#parts
    const { nodeId, clusterId, leader, membership: { version, members } } = cluster
    const view: WatchedView = {
      nodeId,
      clusterId,
      ready: isReady(),
      leader,
      membershipVersion: version,
      members: members.map(({ id, url, role }) => ({ id, url, role }))
    }
    const tag = createHash('sha256').update(JSON.stringify(view)).digest('base64url').slice(0, 22)
    return { tag, ...view }
  }

  /**
   * What this node tells, as soon as its tag is another one than `after`, and after `waitMs` in any case. `onGone` is
   * given what to call when nobody waits any more. Never rejects.
   */
  async next (after: string, waitMs: number, onGone: (forget: () => void) => void): Promise<TaggedView> {
    const now = this.view()
    if (now.tag !== after || waitMs === 0 || this.#isClosed || this.size >= watchLimits.maxWatches) return now
    return await new Promise((resolve) => {
      const waiting: Waiting = {
        after,
        answer: (view) => {
          cancel()
          this.#forget(waiting)
          resolve(view)
        }
      }
      const limitMs = Math.min(waitMs, watchLimits.maxWatchMs)
      const cancel = this.#timers.after(limitMs, () => { waiting.answer(this.view()) })
      this.#waiting.add(waiting)
      if (this.#cancelLook === null) this.#lookLater()
      onGone(() => { waiting.answer(now) })
    })
  }

  /** Something may have changed: those for whom it has are answered. */
  look (): void {
    if (this.#waiting.size === 0) return
    const view = this.view()
    for (const waiting of [...this.#waiting]) if (waiting.after !== view.tag) waiting.answer(view)
  }

  /** Answers all, and lets nobody wait any more: a server that closes waits for its answers. */
  close (): void {
    this.#isClosed = true
    if (this.#waiting.size === 0) return
    const view = this.view()
    for (const { answer } of [...this.#waiting]) answer(view)
  }

  /** How far this node is behind changes with time, without an event. */
  #lookLater (): void {
    this.#cancelLook = this.#timers.after(watchLimits.lookMs, () => {
      this.#lookLater()
      this.look()
    }, { background: true })
  }

  #forget (waiting: Waiting): void {
    this.#waiting.delete(waiting)
    if (this.#waiting.size > 0) return
    this.#cancelLook?.()
    this.#cancelLook = null
  }
}
