import type { Logger } from '../../raft/index.ts'

/** A server that is to be closed in good order. */
interface Closable {
  readonly logger: Logger
  readonly close: () => Promise<void>
  /** Cuts the connections that are still open, so that `close` can end. Absent when `close` does so itself. */
  readonly cutConnections?: () => void
}

// Together the 5 seconds in which a node has to be gone.
const politeMs = 3_000
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

/** Closes the server within 5 seconds. Resolves with the exit code: 0, or 1 when it could not be closed in time. */
export async function closeInTime (server: Closable): Promise<number> {
  const timers: NodeJS.Timeout[] = []
  const tooLate = new Promise<number>((resolve) => {
    timers.push(setTimeout(() => {
      if (server.cutConnections === undefined) return
      server.logger.warn({ afterMs: politeMs }, 'connections are still open: cutting them')
      server.cutConnections()
    }, politeMs))
    timers.push(setTimeout(() => {
      server.logger.error({ afterMs: deadlineMs }, 'not closed in time: giving up')
      resolve(1)
    }, deadlineMs))
  })
  try {
    return await Promise.race([closed(server), tooLate])
  } finally {
    timers.forEach(clearTimeout)
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
