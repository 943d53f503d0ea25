import { StoppedError, TimeoutError } from '../raft/index.ts'
import type { Engine } from '../raft/index.ts'
import type { Wait } from './types.ts'

/** The longest delay a timer takes; beyond it Node fires at once. */
const maxTimerMs = 2_147_483_647

/**
 * Waits until `probe` finds what it looks for, asking again whenever the leadership or the leader changes.
 *
 * Rejects with `RAFT_TIMEOUT` after `timeoutMs`, with the reason of `signal` when that aborts first, and with
 * `RAFT_STOPPED` when the node fails or `closed` aborts.
 */
export async function waitForChange<T> (
  engine: Engine, probe: () => T | null, what: string, wait: Wait | undefined, defaults: { readonly timeoutMs: number, readonly closed: AbortSignal }
): Promise<T> {
  const { timeoutMs = defaults.timeoutMs, signal } = typeof wait === 'number' ? { timeoutMs: wait } : wait ?? {}
  if (Number.isNaN(timeoutMs) || timeoutMs < 0) throw new TypeError('timeoutMs must be a number of milliseconds, 0 or more')
  signal?.throwIfAborted()
  const found = probe()
  if (found !== null) return found
  if (defaults.closed.aborted) throw new StoppedError('it is closed')
  const failure = engine.status().failure
  if (failure !== null) throw new StoppedError(failure.message)

  const { promise, resolve, reject } = withResolvers<T>()
  const onChange = (): void => {
    const value = probe()
    if (value !== null) resolve(value)
  }
  const onFailed = (error: Error): void => { reject(new StoppedError(error.message)) }
  const onClosed = (): void => { reject(new StoppedError('it is closed')) }
  const onAbort = (): void => { reject(signal?.reason as Error) }
  const timer = timeoutMs > maxTimerMs ? undefined : setTimeout(() => { reject(new TimeoutError(timeoutMs, what)) }, timeoutMs)
  engine.events.on('leadership', onChange)
  engine.events.on('leader', onChange)
  engine.events.on('failed', onFailed)
  defaults.closed.addEventListener('abort', onClosed)
  signal?.addEventListener('abort', onAbort)
  try {
    return await promise
  } finally {
    clearTimeout(timer)
    engine.events.off('leadership', onChange)
    engine.events.off('leader', onChange)
    engine.events.off('failed', onFailed)
    defaults.closed.removeEventListener('abort', onClosed)
    signal?.removeEventListener('abort', onAbort)
  }
}

function withResolvers<T> (): { promise: Promise<T>, resolve: (value: T) => void, reject: (reason: Error) => void } {
  let resolve!: (value: T) => void
  let reject!: (reason: Error) => void
  const promise = new Promise<T>((_resolve, _reject) => { resolve = _resolve; reject = _reject })
  return { promise, resolve, reject }
}
