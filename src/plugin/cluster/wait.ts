import type { Engine } from '../../raft/index.ts'
import { StoppedError, TimeoutError } from '../../raft/index.ts'
import type { Timers } from '../../raft/internal.ts'
import { waitUntil } from '../primitives/wait-until.ts'
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
  defaults: { readonly timeoutMs: number; readonly closed: AbortSignal; readonly timers?: Timers | undefined }
): Promise<T> {
  const { timeoutMs = defaults.timeoutMs, signal } = typeof limit === 'number' ? { timeoutMs: limit } : (limit ?? {})
  if (Number.isNaN(timeoutMs) || timeoutMs < 0) {
    throw new TypeError('timeoutMs must be a number of milliseconds, 0 or more')
  }
  return await waitUntil({
    probe,
    timeoutMs,
    signal,
    timers: defaults.timers,
    timeoutError: () => new TimeoutError(timeoutMs, what),
    subscribe: (changed, failed) => subscribe(engine, defaults.closed, changed, failed)
  })
}

function subscribe (
  engine: Engine,
  closed: AbortSignal,
  changed: () => void,
  failed: (error: Error) => void
): () => void {
  const { events } = engine
  const onFailed = (error: Error): void => { failed(new StoppedError(error.message)) }
  const onClosed = (): void => { failed(new StoppedError('it is closed')) }
  events.on('leadership', changed).on('lease', changed).on('leader', changed).on('failed', onFailed)
  closed.addEventListener('abort', onClosed)
  const { failure } = engine.status()
  if (closed.aborted) onClosed()
  else if (failure !== null) onFailed(failure)
  return () => {
    events.off('leadership', changed).off('lease', changed).off('leader', changed).off('failed', onFailed)
    closed.removeEventListener('abort', onClosed)
  }
}
