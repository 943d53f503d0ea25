import type { Logger } from '../../raft/index.ts'

/** A server that is to be closed in good order. */
interface Closable {
  readonly logger: Logger
  /** Bounds itself: by {@link requestsMs} for what is under way, and a little for the rest. */
  readonly close: () => Promise<void>
}

/** How long requests that are under way may go on, within the 5 seconds in which a process has to be gone. */
export const requestsMs = 3_000
const deadlineMs = 4_500

/**
 * Aborts at the first SIGTERM or SIGINT, and when the process that started this one is gone. From the call on these
 * signals end nothing by themselves; later ones are ignored, since closing is bounded anyway.
 */
export function stopSignal (): AbortSignal {
  const stop = new AbortController()
  for (const name of ['SIGTERM', 'SIGINT'] as const) process.on(name, () => { stop.abort(name) })
  // Only there when a parent opened a message channel, as the local cluster does.
  if (process.connected) process.once('disconnect', () => { stop.abort('disconnect') })
  return stop.signal
}

/** Resolves with the signal's reason when it aborts. */
export async function untilAborted (signal: AbortSignal): Promise<unknown> {
  if (!signal.aborted) {
    await new Promise<void>((resolve) => { signal.addEventListener('abort', () => { resolve() }, { once: true }) })
  }
  return signal.reason
}

/**
 * Closes the server within 5 seconds, and `extraMs` for what it does besides. Resolves with the exit code: 0, or 1 when
 * it could not be closed in time.
 */
export async function closeInTime (server: Closable, extraMs = 0): Promise<number> {
  const withinMs = deadlineMs + extraMs
  let timer: NodeJS.Timeout | undefined
  const tooLate = new Promise<number>((resolve) => {
    timer = setTimeout(() => {
      server.logger.error({ afterMs: withinMs }, 'not closed in time: giving up')
      resolve(1)
    }, withinMs)
  })
  try {
    return await Promise.race([closed(server), tooLate])
  } finally {
    clearTimeout(timer)
  }
}

async function closed (server: Closable): Promise<number> {
  try {
    await server.close()
    server.logger.info({}, 'closed')
    return 0
  } catch (err) {
    server.logger.error({ err }, 'could not be closed in good order')
    return 1
  }
}
