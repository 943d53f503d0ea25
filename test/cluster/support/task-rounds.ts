import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { CopyExit } from './rolling-restart.ts'
import { runRollingRestart } from './rolling-restart.ts'
import { readJournal } from './run-journal.ts'

/** What the rounds are made of. */
interface TaskRoundsOptions {
  /** The compiled `test/cluster/tools/working-app.ts`. */
  readonly program: string
  /** How often each of the three copies is restarted. */
  readonly rounds: number
  readonly onRestart?: (exit: CopyExit) => void
}

/** What became of the singleton and of the requests. */
interface TaskRoundsResult {
  readonly rounds: number
  readonly runs: number
  readonly overlaps: readonly string[]
  /** Planned handovers, and from the end of a run to the begin of the next one there, in milliseconds. */
  readonly handovers: number
  readonly medianGapMs: number
  readonly longestGapMs: number
  /** Codes of other reasons that runs ended with, and the longest gap behind each: a machine that is too busy. */
  readonly unplanned: Readonly<Record<string, number>>
  readonly requests: number
  readonly failures: readonly string[]
  readonly lost: readonly string[]
  /** Copies that did not end by themselves. */
  readonly badExits: number
  readonly elapsedMs: number
}

/** Restarts three copies with a singleton, one after the other, each of which drains before it closes. */
export async function runTaskRounds ({ rounds, ...options }: TaskRoundsOptions): Promise<TaskRoundsResult> {
  const directory = await mkdtemp(join(tmpdir(), 'fastify-raft-tasks-'))
  const journal = join(directory, 'runs.ndjson')
  try {
    const { requests, failures, lost, exits, idleExits, elapsedMs } = await runRollingRestart({
      ...options,
      rounds,
      workMs: 50,
      closeTimeoutMs: 8_000,
      clients: 4,
      more: ['--drain-ms', '200', '--journal', journal]
    })
    const { runs, overlaps, gapsMs } = await readJournal(journal, 'journaled')
    const planned = [...(gapsMs.get('RAFT_HANDOVER') ?? [])].sort((a, b) => a - b)
    const others = [...gapsMs].filter(([reason]) => reason !== 'RAFT_HANDOVER')
    return {
      rounds,
      runs,
      overlaps,
      handovers: planned.length,
      medianGapMs: planned[planned.length >> 1] ?? 0,
      longestGapMs: planned.at(-1) ?? 0,
      unplanned: Object.fromEntries(others.map(([reason, gaps]) => [reason, Math.max(...gaps)])),
      requests,
      failures,
      lost,
      badExits: [...exits, ...idleExits].filter(({ code }) => code !== 0).length,
      elapsedMs
    }
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}
