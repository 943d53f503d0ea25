import type { Leadership } from '../../raft/index.ts'
import { encodeCommand } from '../replicated/command.ts'
import type { PrimitiveContext } from './context.ts'
import type { LeaderDeadlines } from './leader-deadlines.ts'
import { inBackground } from './stopwatch.ts'

const retryMs = 500
/** Entries that are written at once: each grants one lock. */
const maxInFlight = 256

/**
 * Writes entries while locks are due, on the node that leads: an entry grants one lock at most, and one entry may free
 * many, for example when a session ends. Any other entry grants one of them as well.
 */
export function startDueGrants (context: PrimitiveContext): LeaderDeadlines {
  const { engine, machine, logger, defaultTimeoutMs } = context
  let inFlight = 0
  let isLooking = false
  let cancelRetry = (): void => {}
  const grant = (): void => {
    inFlight++
    engine.propose(encodeCommand({ kind: 'lock-grant' }), { timeoutMs: defaultTimeoutMs }).then(() => {
      inFlight--
      lookSoon()
    }, (error: unknown) => {
      inFlight--
      logger.debug({ err: error }, 'could not write the grant of a lock that is due; trying again')
      cancelRetry()
      cancelRetry = inBackground(context, retryMs, look)
    })
  }
  const look = (): void => {
    isLooking = false
    if (engine.openLeadership() === null) return
    for (let left = Math.min(machine.locks.due, maxInFlight) - inFlight; left > 0; left--) grant()
  }
  // Not in the middle of `apply`, whose entry may grant one itself.
  const lookSoon = (): void => {
    if (isLooking || machine.locks.due === 0) return
    isLooking = true
    queueMicrotask(look)
  }
  const leadershipChanged = (leadership: Leadership | null): void => { if (leadership !== null) lookSoon() }
  engine.events.on('leadership', leadershipChanged)
  const stopListening = machine.onLockChange(lookSoon)
  return {
    stop: () => {
      engine.events.off('leadership', leadershipChanged)
      stopListening()
      cancelRetry()
    }
  }
}
