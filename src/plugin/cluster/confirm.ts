import type { Engine, WaitOptions } from '../../raft/index.ts'
import { isRaftError } from '../../raft/index.ts'

/**
 * Whether a leadership of this node that began with this token goes on. When only its lease has lapsed a majority is
 * asked: no other node led if that leaves the leadership standing.
 */
export async function confirmsLeadership (engine: Engine, token: number, wait: WaitOptions): Promise<boolean> {
  const holds = (): boolean => engine.currentLeadership()?.token === token
  if (holds()) return true
  if (engine.openLeadership()?.token !== token) return false
  try {
    await engine.readBarrier(wait)
  } catch (error) {
    // Nobody confirmed it in time.
    if (!isRaftError(error) && wait.signal?.aborted !== true) throw error
  }
  return holds()
}
