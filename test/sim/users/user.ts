import type { PrimitiveContext } from '../../../src/plugin/primitives/context.ts'
import { isRaftError } from '../../../src/raft/errors.ts'
import { pause } from '../../../src/raft/runtime/timers.ts'
import { BrokenPromise } from '../promise.ts'
import type { SimRandom } from '../random.ts'
import type { Claims, Process } from './claims.ts'

/** What a user of the primitives on one node works with. */
export interface UserEnvironment {
  readonly context: PrimitiveContext
  readonly process: Process
  readonly random: SimRandom
  readonly claims: Claims
  /** Whether the clocks of the nodes differ by less than the primitives allow for. */
  readonly trustsClocks: boolean
  /** Called with what no user may see. */
  readonly failed: (error: Error) => void
}

/** Refusals and losses that a user has to expect while nodes fail. */
const expectedCodes: ReadonlySet<string> = new Set([
  'RAFT_BUSY',
  'RAFT_FENCED',
  'RAFT_LOCK_HELD',
  'RAFT_LOCK_LOST',
  'RAFT_NO_LEADER',
  'RAFT_OUTCOME_UNKNOWN',
  'RAFT_SESSION_LOST'
])

/** Waits on the clock of the node, for a time that is drawn; forever when the node crashes. */
export async function wait (
  { context, random }: UserEnvironment,
  fromMs: number,
  toMs: number,
  signal?: AbortSignal
): Promise<void> {
  if (context.timers === undefined) throw new Error('a simulated node has timers of its own')
  await pause(context.timers, random.between(fromMs, toMs), signal)
}

/** Calls `turn` again and again, as long as the process lives. */
export function repeat (environment: UserEnvironment, thinkMs: number, turn: () => Promise<void>): void {
  const { process, failed } = environment
  const run = async (): Promise<void> => {
    while (process.isAlive) {
      await wait(environment, 1, 2 * thinkMs)
      try {
        await turn()
      } catch (error) {
        // What was under way as the process ended is nobody's any more.
        if (process.isAlive && !isExpected(error)) throw error
      }
    }
  }
  run().catch((error: unknown) => { failed(error instanceof Error ? error : new Error(String(error))) })
}

/** Runs work that the primitives call, and whose errors they take: a broken promise is not for them. */
export async function noticing<T> ({ failed }: UserEnvironment, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (error instanceof BrokenPromise) failed(error)
    throw error
  }
}

function isExpected (error: unknown): boolean {
  return isRaftError(error) && expectedCodes.has(error.code)
}

/** Whether a check lets its caller act. */
export function mayAct (check: () => void): boolean {
  try {
    check()
    return true
  } catch (error) {
    if (isRaftError(error)) return false
    throw error
  }
}
