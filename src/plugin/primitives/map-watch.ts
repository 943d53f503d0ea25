import type { WaitOptions } from '../../raft/index.ts'
import { InvalidOptionsError } from '../../raft/index.ts'
import type { FollowedKeys } from '../replicated/key-waiters.ts'
import type { MapChange as StoredChange, MapFollower } from '../replicated/map-history.ts'
import { isIndex, isKey } from '../replicated/validate.ts'
import type { PrimitiveContext } from './context.ts'
import { onNodeEnd, waitOptions } from './context.ts'

/** What happened to one key of a map. */
export type MapEvent<V> =
  | { readonly kind: 'set', readonly key: string, readonly value: V }
  | { readonly kind: 'deleted', readonly key: string }
  /** Its time to live was over, or the session that owned it ended. */
  | { readonly kind: 'expired', readonly key: string }

/** All that one write changed of the keys that a watch follows. */
export interface MapChange<V> {
  /** Log index of the write: rises from change to change. A watch behind it misses nothing and repeats nothing. */
  readonly revision: number
  /** In the order in which they happened. Each reader has copies of the values. */
  readonly events: ReadonlyArray<MapEvent<V>>
}

/** Which changes to watch. `timeoutMs` bounds the wait for the state of a node that has just started. */
export interface MapWatchOptions extends WaitOptions {
  /** Only this key. Not together with `prefix`. */
  readonly key?: string | undefined
  /** Only keys that start with it; all keys when neither is given. */
  readonly prefix?: string | undefined
  /**
   * Only changes behind this revision: that of the last change seen, or of the page that was read before. One that this
   * node has not reached is waited for. Without it the watch shows what this node applies from the call on.
   */
  readonly afterRevision?: number | undefined
}

/**
 * The changes of a map, one by one, as this node applies them. Ends when the node closes or `return` is called, which a
 * `break` out of `for await` does.
 *
 * A step rejects, and the watch is over, with
 *
 * - `RAFT_COMPACTED`: changes that it had still to show are forgotten on this node, because the reader is slow, the
 *   revision is old, or the node was given a snapshot. Its `revision` is the first one to go on behind: read the keys
 *   anew, and watch from there;
 * - the reason of the signal, `RAFT_STOPPED` when the node fails, `RAFT_RESTORING` when its state takes longer than the
 *   timeout, or `RAFT_BUSY` when there are too many watches.
 */
export interface MapWatch<V> extends AsyncIterableIterator<MapChange<V>, undefined> {
  /**
   * Every change up to this revision was shown: to watch anew behind it misses nothing. It rises with other keys as
   * well while the watch waits, so that a reader of quiet keys can go on without `RAFT_COMPACTED`.
   */
  readonly revision: number
}

/** Watches a map. Throws `RAFT_INVALID_OPTIONS`. */
export function watchMap<V> (context: PrimitiveContext, map: string, options: MapWatchOptions): MapWatch<V> {
  const keys = followedKeys(options)
  const { afterRevision, signal } = options
  if (afterRevision !== undefined && !isIndex(afterRevision)) {
    throw new InvalidOptionsError('afterRevision is a non-negative integer')
  }
  const wait = waitOptions(context, options)
  const open = async (): Promise<MapFollower> => {
    await context.engine.waitForState(wait)
    return context.machine.history.follow(map, keys, afterRevision)
  }
  const watch = new Watching<V>(open(), afterRevision ?? 0)
  const stop = onNodeEnd(context, (reason) => { watch.end(context.closed?.aborted === true ? null : reason) })
  const aborted = (): void => { watch.end(signal?.reason as Error) }
  signal?.addEventListener('abort', aborted)
  watch.onEnd(() => {
    stop()
    signal?.removeEventListener('abort', aborted)
  })
  if (signal?.aborted === true) aborted()
  return watch
}

/** The keys that a watch names. Throws `RAFT_INVALID_OPTIONS`. */
export function followedKeys ({ key, prefix }: Pick<MapWatchOptions, 'key' | 'prefix'>): FollowedKeys {
  if (key === undefined) return { prefix: prefix ?? '' }
  if (prefix !== undefined) throw new InvalidOptionsError('a watch has a key or a prefix, not both')
  if (!isKey(key)) throw new InvalidOptionsError('a key is a string of at least one character')
  return { key }
}

/** The change as callers see it, with values of their own. */
function changeOf<V> ({ revision, events }: StoredChange): MapChange<V> {
  return {
    revision,
    events: events.map(({ kind, key, valueJson }) =>
      kind === 'set' ? { kind, key, value: JSON.parse(valueJson) as V } : { kind, key })
  }
}

type Step<V> = IteratorResult<MapChange<V>, undefined>

const done = { done: true, value: undefined } as const

class Watching<V> implements MapWatch<V> {
  readonly #opening: Promise<MapFollower>
  readonly #onEnd: Array<() => void> = []
  #follower: MapFollower | null = null
  #revision: number
  /** Why it is over: an error that the next step throws, null for none any more; undefined while it goes on. */
  #ended: Error | null | undefined
  #wake: () => void = () => {}
  /** Steps are taken one behind the other. */
  #last: Promise<unknown> = Promise.resolve()

  constructor (opening: Promise<MapFollower>, revision: number) {
    this.#revision = revision
    this.#opening = opening.then((follower) => {
      if (this.#ended === undefined) this.#follower = follower
      else follower.end()
      return follower
    })
    // Told by the next step.
    this.#opening.catch((error: unknown) => { this.end(error as Error) })
  }

  get revision (): number {
    return this.#follower?.revision ?? this.#revision
  }

  [Symbol.asyncIterator] (): this {
    return this
  }

  next (): Promise<Step<V>> {
    const step = this.#last.then(() => this.#step())
    this.#last = step.catch(() => {})
    return step
  }

  async return (): Promise<Step<V>> {
    this.end(null)
    return done
  }

  /** Calls back once, when the watch is over. */
  onEnd (ended: () => void): void {
    this.#onEnd.push(ended)
  }

  /** Ends the watch: the step under way or the next one throws the reason. Idempotent. */
  end (reason: Error | null): void {
    if (this.#ended !== undefined) return
    this.#ended = reason
    this.#revision = this.revision
    this.#follower?.end()
    this.#follower = null
    for (const ended of this.#onEnd) ended()
    this.#wake()
  }

  async #step (): Promise<Step<V>> {
    for (;;) {
      const follower = this.#follower ?? await this.#opened()
      if (follower === null) return this.#endStep()
      const change = this.#take(follower)
      if (change !== null) return { done: false, value: changeOf(change) }
      if (this.#ended === undefined) await this.#changed(follower)
    }
  }

  /** The next change; an error ends the watch. */
  #take (follower: MapFollower): StoredChange | null {
    try {
      return follower.next()
    } catch (error) {
      this.end(error as Error)
      return null
    }
  }

  async #changed (follower: MapFollower): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#wake = resolve
      follower.wait(resolve)
    })
  }

  /** The follower once it is there; null when the watch is over by then. */
  async #opened (): Promise<MapFollower | null> {
    if (this.#ended === undefined) {
      await Promise.race([
        this.#opening.catch(() => {}),
        new Promise<void>((resolve) => { this.#wake = resolve })
      ])
    }
    return this.#follower
  }

  #endStep (): Step<V> {
    const reason = this.#ended
    this.#ended = null
    if (reason !== null && reason !== undefined) throw reason
    return done
  }
}
