import type { Engine } from '../../raft/index.ts'
import { StoppedError, TimeoutError } from '../../raft/index.ts'
import { Waiter } from '../../raft/internal.ts'
import type { WaitLimit } from './types.ts'

/**
 * Waits until `probe` finds what it looks for, asking again whenever the leadership or the leader changes.
 *
 * Rejects with `RAFT_TIMEOUT` after `timeoutMs`, with the reason of `signal` when that aborts first, and with
 * `RAFT_STOPPED` when the node fails or `closed` aborts.
 */
export async function waitForChange<T> (
  engine: Engine,
  probe: () => T | null,
  what: string,
  limit: WaitLimit | undefined,
  defaults: { readonly timeoutMs: number; readonly closed: AbortSignal }
): Promise<T> {
  const { timeoutMs = defaults.timeoutMs, signal } = typeof limit === 'number' ? { timeoutMs: limit } : (limit ?? {})
  if (Number.isNaN(timeoutMs) || timeoutMs < 0) {
    throw new TypeError('timeoutMs must be a number of milliseconds, 0 or more')
  }
  signal?.throwIfAborted()
  const found = probe()
  if (found !== null) return found
  if (defaults.closed.aborted) throw new StoppedError('it is closed')
  const failure = engine.status().failure
  if (failure !== null) throw new StoppedError(failure.message)

  const { events } = engine
  const stop = (reason: string): void => {
    waiter.reject(new StoppedError(reason))
  }
  const onChange = (): void => {
    const value = probe()
    if (value !== null) waiter.resolve(value)
  }
  const onFailed = (error: Error): void => {
    stop(error.message)
  }
  const onClosed = (): void => {
    stop('it is closed')
  }
  const waiter = new Waiter<T>(
    { timeoutMs, signal },
    () => new TimeoutError(timeoutMs, what),
    () => {
      events.off('leadership', onChange).off('leader', onChange).off('failed', onFailed)
      defaults.closed.removeEventListener('abort', onClosed)
    }
  )
  events.on('leadership', onChange).on('leader', onChange).on('failed', onFailed)
  defaults.closed.addEventListener('abort', onClosed)
  return await waiter.promise
}
