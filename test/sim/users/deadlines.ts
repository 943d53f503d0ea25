import type { PrimitiveContext } from '../../../src/plugin/primitives/context.ts'
import { startDueGrants } from '../../../src/plugin/primitives/due-grants.ts'
import type { LeaderDeadlines } from '../../../src/plugin/primitives/leader-deadlines.ts'
import { startLockExpiry } from '../../../src/plugin/primitives/lock-expiry.ts'
import { startSessionExpiry } from '../../../src/plugin/primitives/session-expiry.ts'

/** What a leader writes by itself: the ends of locks and sessions, and grants that are due. */
export function startDeadlines (context: PrimitiveContext): LeaderDeadlines {
  const started = [startLockExpiry(context), startSessionExpiry(context), startDueGrants(context)]
  return { stop: () => { for (const deadlines of started) deadlines.stop() } }
}
