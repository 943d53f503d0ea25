import type { WaitOptions } from '../../raft/index.ts'
import type { PrimitiveContext } from './context.ts'
import { waitOptions } from './context.ts'

/** How replicated state is read, and how long that may take. */
export interface ReadOptions extends WaitOptions {
  /**
   * `linearizable` (default) sees every write and command that was acknowledged anywhere before the call, whatever
   * clocks do.
   *
   * `lease` sees the same, and asks nobody on a leader whose lease holds at the moment of the read; anywhere else it is
   * `linearizable`. It trusts clocks: should the leader's run more than 5 % slower than those of the followers that
   * elect another one, it may miss what that one has acknowledged (dissertation section 6.4.1).
   *
   * `local` asks nobody and may be stale. After a start it waits until the state is restored.
   */
  readonly read?: 'linearizable' | 'lease' | 'local' | undefined
}

/**
 * Resolves when this node has applied what the call has to see. Rejects as `Engine.readBarrier` does, or for a local
 * read as `Engine.waitForState`.
 */
export async function beforeRead (context: PrimitiveContext, options: ReadOptions): Promise<void> {
  if (options.read === 'local') await context.engine.waitForState(waitOptions(context, options))
  else if (options.read === 'lease' && holdsLease(context)) options.signal?.throwIfAborted()
  else await context.engine.readBarrier(waitOptions(context, options))
}

/**
 * Whether this node's state is the cluster's: the lease holds by the clocks as they are now, this term's first entry is
 * applied, and a leader applies an entry before anybody can hear that it is committed.
 */
function holdsLease ({ engine }: PrimitiveContext): boolean {
  return engine.currentLeadership() !== null
}
