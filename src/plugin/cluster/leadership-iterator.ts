import type { LeadershipChange } from './types.ts'

/** What {@link iterateLeadership} needs to know. */
interface LeadershipSource {
  readonly current: () => LeadershipChange
  readonly subscribe: (listener: (change: LeadershipChange) => void) => () => void
  /** Aborts when the node closes; ends the iteration. */
  readonly closed: AbortSignal
}

/** The role now and each flip after it; holds one change at most, the latest. */
export async function * iterateLeadership (
  source: LeadershipSource,
  signal?: AbortSignal
): AsyncGenerator<LeadershipChange, void, undefined> {
  let pending: LeadershipChange | null = source.current()
  let last: LeadershipChange | null = null
  let wake: () => void = () => {}
  const wakeUp = (): void => {
    wake()
  }
  const unsubscribe = source.subscribe((change) => {
    pending = change
    wake()
  })
  source.closed.addEventListener('abort', wakeUp)
  signal?.addEventListener('abort', wakeUp)
  try {
    while (!source.closed.aborted) {
      signal?.throwIfAborted()
      const next: LeadershipChange | null = pending
      pending = null
      if (next === null) {
        await new Promise<void>((resolve) => {
          wake = resolve
        })
      } else if (last === null || next.token !== last.token) {
        last = next
        yield next
      }
    }
  } finally {
    unsubscribe()
    source.closed.removeEventListener('abort', wakeUp)
    signal?.removeEventListener('abort', wakeUp)
  }
}
