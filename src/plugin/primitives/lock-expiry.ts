import type { LockExpireCommand } from '../replicated/command.ts'
import type { HeldLock } from '../replicated/lock-records.ts'
import type { PrimitiveContext } from './context.ts'
import type { Deadline, LeaderDeadlines } from './leader-deadlines.ts'
import { watchDeadlines } from './leader-deadlines.ts'

/** Lets locks end that were not renewed in time, on the node that leads. */
export function startLockExpiry (context: PrimitiveContext): LeaderDeadlines {
  const { machine } = context
  return watchDeadlines(context, {
    * all () { for (const lock of machine.locks.all()) if (lock.ttlMs !== null) yield deadlineOf(lock, lock.ttlMs) },
    subscribe: (begun, over) => machine.onLockChange(({ kind, lock }) => {
      if (kind !== 'granted' && kind !== 'renewed') over(keyOf(lock))
      else if (lock.ttlMs !== null) begun(deadlineOf(lock, lock.ttlMs))
    }),
    commands: (ends) => ends
  })
}

function keyOf ({ token }: HeldLock): string {
  return String(token)
}

function deadlineOf (lock: HeldLock, ttlMs: number): Deadline<LockExpireCommand> {
  const { pool, name, token, renewal } = lock
  const end = { kind: 'lock-expire', name, token, renewal, ...(pool === 'lock' ? {} : { pool }) } as const
  return { key: keyOf(lock), inMs: ttlMs, end }
}
