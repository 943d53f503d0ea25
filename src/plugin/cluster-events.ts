import { EventEmitter } from 'node:events'
import type { Engine, LeaderInfo, Leadership, Logger } from '../raft/index.ts'
import type { ClusterEvents, ClusterListener } from './types.ts'

/**
 * The events of a node for the application. They leave the engine's call stack first, so that a listener may call back
 * into the cluster; and a listener that throws or rejects is logged and harms nobody.
 */
export class ClusterEventSource {
  readonly #emitter = new EventEmitter<ClusterEvents>()
  readonly #logger: Logger
  readonly #disconnect: () => void

  constructor (engine: Engine, logger: Logger, present: (leader: LeaderInfo | null) => LeaderInfo | null) {
    this.#logger = logger
    const onLeadership = (leadership: Leadership | null): void => {
      const term = leadership?.term ?? engine.status().term
      this.#deliver('leadershipChanged', { isLeader: leadership !== null, token: leadership === null ? null : String(leadership.token), term })
    }
    const onLeader = (leader: LeaderInfo | null): void => { this.#deliver('leaderChanged', present(leader)) }
    engine.events.on('leadership', onLeadership)
    engine.events.on('leader', onLeader)
    this.#disconnect = () => {
      engine.events.off('leadership', onLeadership)
      engine.events.off('leader', onLeader)
    }
  }

  on<Name extends keyof ClusterEvents> (name: Name, listener: ClusterListener<Name>): void {
    this.#emitter.on(name, listener as never)
  }

  once<Name extends keyof ClusterEvents> (name: Name, listener: ClusterListener<Name>): void {
    this.#emitter.once(name, listener as never)
  }

  off<Name extends keyof ClusterEvents> (name: Name, listener: ClusterListener<Name>): void {
    this.#emitter.off(name, listener as never)
  }

  /** Hears nothing more from the engine. What it said before is still delivered. */
  close (): void { this.#disconnect() }

  #deliver<Name extends keyof ClusterEvents> (name: Name, ...args: ClusterEvents[Name]): void {
    queueMicrotask(() => {
      // Raw, so that calling a `once` listener removes it; one by one, so that none keeps the others from hearing it.
      for (const listener of this.#emitter.rawListeners(name)) this.#call(name, listener as (...args: ClusterEvents[Name]) => unknown, args)
    })
  }

  #call<Name extends keyof ClusterEvents> (name: Name, listener: (...args: ClusterEvents[Name]) => unknown, args: ClusterEvents[Name]): void {
    const failed = (err: unknown): void => { this.#logger.error({ err, event: name }, 'A listener of the cluster threw') }
    try {
      const result = listener.apply(this.#emitter, args)
      if (result instanceof Promise) result.catch(failed)
    } catch (err) {
      failed(err)
    }
  }
}
