import type { MapExpireCommand } from '../replicated/command.ts'
import type { KeyLife } from '../replicated/key-lives.ts'
import { limits } from '../replicated/limits.ts'
import type { PrimitiveContext } from './context.ts'
import type { Deadline, LeaderDeadlines } from './leader-deadlines.ts'
import { watchDeadlines } from './leader-deadlines.ts'

type KeyOver = MapExpireCommand['keys'][number]

/** Lets keys end whose time to live is over, on the node that leads. */
export function startKeyExpiry (context: PrimitiveContext): LeaderDeadlines {
  const { machine } = context
  return watchDeadlines<KeyOver>(context, {
    // A new leader counts on from the log time of the write: days need not begin anew with each leader.
    * all () {
      for (const life of machine.maps.lives()) yield deadlineOf(life, machine.timeMs - life.sinceMs)
    },
    subscribe: (begun, over) => machine.onKeyLifeChange(({ kind, life }) => {
      if (kind === 'begun') begun(deadlineOf(life, 0))
      else over(keyOf(life))
    }),
    commands: (keys) => Array.from({ length: Math.ceil(keys.length / limits.maxKeysExpiredAtOnce) }, (_, at) => ({
      kind: 'map-expire',
      keys: keys.slice(at * limits.maxKeysExpiredAtOnce, (at + 1) * limits.maxKeysExpiredAtOnce)
    }))
  })
}

function keyOf ({ map, key }: KeyLife): string {
  return JSON.stringify([map, key])
}

function deadlineOf (life: KeyLife, elapsedMs: number): Deadline<KeyOver> {
  const { map, key, revision, ttlMs } = life
  return { key: keyOf(life), inMs: Math.max(0, (ttlMs ?? 0) - elapsedMs), end: [map, key, revision] }
}
