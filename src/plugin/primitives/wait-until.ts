import type { Timers } from '../../raft/internal.ts'
import { Waiter } from '../../raft/internal.ts'
import type { PrimitiveContext } from './context.ts'
import { onNodeEnd } from './context.ts'

/** What is waited for, and for how long. */
interface WaitUntilOptions<T> {
  /** Looks for what is waited for; null when it is not there yet. */
  readonly probe: () => T | null
  /**
   * Calls `changed` whenever `probe` may find something, and `failed` when it never will. The function returned ends
   * the subscription.
   */
  readonly subscribe: (changed: () => void, failed: (error: Error) => void) => () => void
  /** Milliseconds, `Infinity` for no limit. */
  readonly timeoutMs: number
  /** Makes the error of a wait that took longer. */
  readonly timeoutError: () => Error
  /** Ends the wait with its own reason. */
  readonly signal?: AbortSignal | undefined
  /** The timers of this process when left out. */
  readonly timers?: Timers | undefined
}

/** Waits until `probe` finds something, at once or after a change, and resolves with it. */
export async function waitUntil<T> (options: WaitUntilOptions<T>): Promise<T> {
  const { probe, subscribe, timeoutMs, timeoutError, signal, timers } = options
  signal?.throwIfAborted()
  const found = probe()
  if (found !== null) return found
  let unsubscribe = (): void => {}
  const waiter = new Waiter<T>({ timeoutMs, signal }, timeoutError, () => { unsubscribe() }, timers)
  const changed = (): void => {
    const value = probe()
    if (value !== null) waiter.resolve(value)
  }
  unsubscribe = subscribe(changed, (error) => { waiter.reject(error) })
  // It may have failed within the call.
  if (waiter.settled) unsubscribe()
  return await waiter.promise
}

/** {@link waitUntil} for something of the replicated state; rejects with `RAFT_STOPPED` as well, when the node ends. */
export async function waitUntilApplied<T> (
  context: PrimitiveContext,
  options: Omit<WaitUntilOptions<T>, 'subscribe' | 'timers'> & {
    /** Calls back whenever the state may have changed. The function returned ends it. */
    readonly onChange: (changed: () => void) => () => void
  }
): Promise<T> {
  const { onChange, ...more } = options
  return await waitUntil({
    ...more,
    subscribe: (changed, failed) => {
      const endChanges = onChange(changed)
      const endWatch = onNodeEnd(context, failed)
      return () => {
        endChanges()
        endWatch()
      }
    },
    timers: context.timers
  })
}
