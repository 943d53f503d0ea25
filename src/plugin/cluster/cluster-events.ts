import { EventEmitter } from 'node:events'
import type { LeaderInfo, Leadership, Logger, Membership, RaftControl, SnapshotTaken } from '../../raft/index.ts'
import type { AuditRecord, ClusterEvents, ClusterListener } from './types.ts'

/** How leader and membership are shown to the application. */
interface Presentation {
  readonly leader: (leader: LeaderInfo | null) => LeaderInfo | null
  readonly membership: (membership: Membership) => Membership
}

/**
 * The events of a node for the application. They leave the engine's call stack first, so that a listener may call back
 * into the cluster. A listener that throws or rejects is logged; the others are called all the same.
 */
export class ClusterEventSource {
  readonly #emitter = new EventEmitter<ClusterEvents>()
  readonly #logger: Logger
  readonly #disconnect: () => void

  constructor (engine: RaftControl, logger: Logger, present: Presentation) {
    this.#logger = logger
    // Any number of parts of an application may listen.
    this.#emitter.setMaxListeners(0)
    const onLeadership = (leadership: Leadership | null): void => {
      const term = leadership?.term ?? engine.status().term
      this.#deliver('leadershipChanged', {
        isLeader: leadership !== null,
        token: leadership === null ? null : String(leadership.token),
        term
      })
    }
    const onLeader = (leader: LeaderInfo | null): void => {
      this.#deliver('leaderChanged', present.leader(leader))
    }
    const onMembership = (membership: Membership): void => {
      this.#deliver('membershipChanged', present.membership(membership))
    }
    const onSnapshot = (snapshot: SnapshotTaken): void => {
      this.#deliver('snapshotTaken', snapshot)
    }
    engine.events.on('leadership', onLeadership)
    engine.events.on('snapshot', onSnapshot)
    engine.events.on('leader', onLeader)
    engine.events.on('membership', onMembership)
    this.#disconnect = () => {
      engine.events.off('leadership', onLeadership)
      engine.events.off('snapshot', onSnapshot)
      engine.events.off('leader', onLeader)
      engine.events.off('membership', onMembership)
    }
  }

  on<Name extends keyof ClusterEvents>(name: Name, listener: ClusterListener<Name>): void {
    this.#emitter.on(name, listener as never)
  }

  once<Name extends keyof ClusterEvents>(name: Name, listener: ClusterListener<Name>): void {
    this.#emitter.once(name, listener as never)
  }

  off<Name extends keyof ClusterEvents>(name: Name, listener: ClusterListener<Name>): void {
    this.#emitter.off(name, listener as never)
  }

  /** Whether anybody listens to `audit`. */
  get isAudited (): boolean {
    return this.#emitter.listenerCount('audit') > 0
  }

  /** Tells the listeners of `audit`. */
  audit (record: AuditRecord): void {
    this.#deliver('audit', record)
  }

  /** Stops listening to the engine. Events that it sent before are still delivered. */
  close (): void {
    this.#disconnect()
  }

  #deliver<Name extends keyof ClusterEvents>(name: Name, ...args: ClusterEvents[Name]): void {
    queueMicrotask(() => {
      // Raw, so that calling a `once` listener removes it; one by one, so that an error stops no other listener.
      for (const listener of this.#emitter.rawListeners(name)) {
        this.#call(name, listener as (...args: ClusterEvents[Name]) => unknown, args)
      }
    })
  }

  #call<Name extends keyof ClusterEvents>(
    name: Name,
    listener: (...args: ClusterEvents[Name]) => unknown,
    args: ClusterEvents[Name]
  ): void {
    const failed = (err: unknown): void => {
      this.#logger.error({ err, event: name }, 'a listener of the cluster threw')
    }
    try {
      const result = listener.apply(this.#emitter, args)
      if (result instanceof Promise) result.catch(failed)
    } catch (err) {
      failed(err)
    }
  }
}
