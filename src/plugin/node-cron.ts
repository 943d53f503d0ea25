/**
 * A coordinator for node-cron 4.4 and later, also below @node-cron/nestjs: of all copies the one that leads runs a
 * slot, and no slot runs twice.
 *
 * ```ts
 * import cron from 'node-cron'
 * import { createRunCoordinator } from 'fastify-raft/node-cron'
 *
 * const runCoordinator = createRunCoordinator(app.cluster)
 * cron.schedule('0 3 * * *', run, { name: 'report', distributed: true, runCoordinator })
 * ```
 * @module
 */
import { InvalidOptionsError } from '../raft/index.ts'
import { settlesWithin, systemTimers } from '../raft/internal.ts'
import type { Cluster } from './cluster/cluster.ts'

/** The object that node-cron asks: its `RunCoordinator`. */
export interface RunCoordinator {
  /** Whether this copy is to run the slot that the key names. Always settles, within `timeoutMs`. */
  readonly shouldRun: (key: string, ttlMs: number) => Promise<boolean>
}

/** Options of {@link createRunCoordinator}. */
export interface RunCoordinatorOptions {
  /**
   * How long an answer may take, in milliseconds: default 5,000. One that takes longer is no, and the slot is lost.
   * node-cron itself waits for ever, and a task with `noOverlap` never runs again then.
   */
  readonly timeoutMs?: number | undefined
  /** Name of the map that remembers the last slot of each task; default `node-cron`. */
  readonly map?: string | undefined
}

const defaultTimeoutMs = 5_000
/** What node-cron asks: the name of the task, and the planned instant. */
const keyForm = /^(.+):(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z)$/s

/**
 * Makes the coordinator of one copy. A slot is claimed in the replicated map, under the leadership as it is at that
 * moment, and the claim stays: copies whose clocks are minutes apart ask for the same slot minutes apart. Slots of a
 * task only rise: one behind the last that ran is not run any more.
 *
 * Throws `RAFT_INVALID_OPTIONS`. `shouldRun` rejects with it for a key that is not of node-cron's form; node-cron skips
 * that run and says so.
 */
export function createRunCoordinator (cluster: Cluster, options: RunCoordinatorOptions = {}): RunCoordinator {
  const { timeoutMs = defaultTimeoutMs, map: mapName = 'node-cron' } = options
  if (!(timeoutMs > 0 && timeoutMs < Infinity)) throw new InvalidOptionsError('timeoutMs is a number above 0')
  const slots = cluster.map<string>(mapName)
  const claim = async (name: string, slot: string, token: string): Promise<boolean> => {
    const last = await slots.get(name, { timeoutMs, read: 'lease' })
    if (last !== null && last.value >= slot) return false
    await slots.set(name, slot, { ifRevision: last?.revision ?? 0, fence: token, timeoutMs })
    return true
  }
  const claimOnLeader = async (name: string, slot: string): Promise<boolean> => {
    try {
      const outcome = await cluster.executeIfLeader(async (_signal, grant) => await claim(name, slot, grant.token))
      return outcome.status === 'completed' && outcome.value
    } catch (error) {
      if (isNo(error)) return false
      throw error
    }
  }
  return {
    shouldRun: async (key) => {
      const [, name, slot] = keyForm.exec(key) ?? []
      if (name === undefined || slot === undefined) {
        throw new InvalidOptionsError(`"${key}" does not end in a colon and an instant, as the keys of node-cron do`)
      }
      const mayRun = claimOnLeader(name, slot)
      // A claim that comes too late is kept: the slot does not run anywhere else either.
      return await settlesWithin(systemTimers, mayRun, timeoutMs) && await mayRun
    }
  }
}

const noCodes: ReadonlySet<unknown> = new Set([
  'RAFT_REVISION_MISMATCH',
  'RAFT_FENCED',
  'RAFT_OUTCOME_UNKNOWN',
  'RAFT_NO_LEADER',
  'RAFT_LEADERSHIP_LOST'
])

/** Somebody else was faster, or it is not known in time: either way this copy does not run. */
function isNo (error: unknown): boolean {
  return error instanceof Error && 'code' in error && noCodes.has(error.code)
}
