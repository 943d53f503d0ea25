import type { SessionExpireCommand } from '../replicated/command.ts'
import type { OwnerSession } from '../replicated/owner-session-table.ts'
import type { PrimitiveContext } from './context.ts'
import type { Deadline, LeaderDeadlines } from './leader-deadlines.ts'
import { watchDeadlines } from './leader-deadlines.ts'

/** Lets sessions end that had no beat in time, on the node that leads. */
export function startSessionExpiry (context: PrimitiveContext): LeaderDeadlines {
  const { machine } = context
  return watchDeadlines(context, {
    * all () { for (const session of machine.sessions.all()) yield deadlineOf(session) },
    subscribe: (begun, over) => machine.onSessionChange(({ kind, session }) => {
      if (kind === 'opened' || kind === 'kept') begun(deadlineOf(session))
      else over(String(session.id))
    }),
    commands: (ends) => ends
  })
}

function deadlineOf ({ id, beat, ttlMs }: OwnerSession): Deadline<SessionExpireCommand> {
  return { key: String(id), inMs: ttlMs, end: { kind: 'session-expire', session: id, beat } }
}
