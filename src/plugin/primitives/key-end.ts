import { Type } from '../../gateway/internal.ts'
import type { WaitOptions } from '../../raft/index.ts'
import { InvalidOptionsError } from '../../raft/index.ts'
import type { KeyEnd } from '../replicated/key-lives.ts'
import { limits } from '../replicated/limits.ts'
import { isKeyTtl } from '../replicated/validate.ts'
import { indexText } from './conditions.ts'
import type { PrimitiveContext } from './context.ts'
import { waitOptions } from './context.ts'
import { processSession } from './process-session.ts'

/** How a key ends by itself: by one of these at most. Watches show it as `expired`. */
export interface KeyEndOptions {
  /**
   * Time to live from this write on, in milliseconds of log time, 100 to 604,800,000 (7 days). The key may stay for
   * longer, while nobody leads for instance, and goes no earlier.
   */
  readonly ttlMs?: number | undefined
  /** The session of this process owns the key: it goes when the process has closed, or was gone for some seconds. */
  readonly ephemeral?: boolean | undefined
  /** This session owns the key: one that somebody opened over HTTP, and keeps alive. */
  readonly session?: string | undefined
}

const sessionForm = new RegExp(indexText.pattern)

/** The same over HTTP, where callers have sessions of their own. */
export const keyEndSchema = {
  ttlMs: Type.Optional(Type.Integer({
    description: 'Time to live of the key from this write on, in milliseconds; not together with `session`.',
    minimum: limits.minKeyTtlMs,
    maximum: limits.maxKeyTtlMs
  })),
  session: Type.Optional(Type.String({
    description: 'The session that owns the key, which goes with it: one that was opened with `POST sessions`.',
    ...indexText
  }))
}

/** The end as the command carries it, which may have to open a session first, and how long is left for the write. */
export async function keyEndOf (
  context: PrimitiveContext,
  options: KeyEndOptions,
  wait: WaitOptions
): Promise<{ readonly end: KeyEnd, readonly wait: WaitOptions }> {
  const end = givenEnd(options)
  if (end !== 'ephemeral') return { end, wait }
  const { clock } = context
  const startedMs = clock.monotonicMs()
  const limited = waitOptions(context, wait)
  const { id } = await processSession(context).open(limited)
  const timeoutMs = Math.max(0, limited.timeoutMs - (clock.monotonicMs() - startedMs))
  return { end: { session: id }, wait: { ...limited, timeoutMs } }
}

/** The end as options name it. Throws `RAFT_INVALID_OPTIONS`. */
export function givenEnd ({ ttlMs, ephemeral = false, session }: KeyEndOptions): KeyEnd | 'ephemeral' {
  if (ttlMs !== undefined && !isKeyTtl(ttlMs)) {
    throw new InvalidOptionsError(`ttlMs is an integer from ${limits.minKeyTtlMs} to ${limits.maxKeyTtlMs}`)
  }
  if (session !== undefined && !sessionForm.test(session)) {
    throw new InvalidOptionsError('session is the id of a session, as it was opened')
  }
  const ends = [ttlMs !== undefined, ephemeral, session !== undefined].filter(Boolean).length
  if (ends > 1) throw new InvalidOptionsError('a key has one of ttlMs, ephemeral and session')
  if (ephemeral) return 'ephemeral'
  if (ttlMs !== undefined) return { ttlMs }
  return session === undefined ? {} : { session: Number(session) }
}

/** The end as readers of a key see it. */
export function shownEnd (
  end: { readonly ttlMs?: number | null, readonly session?: number | null } = {}
): { readonly ttlMs?: number, readonly session?: string } {
  const { ttlMs = null, session = null } = end
  if (ttlMs !== null) return { ttlMs }
  return session === null ? {} : { session: String(session) }
}
