import type { ClusterSchedule } from '../../../../src/plugin/primitives/schedule.ts'
import { createSchedule, ScheduleControl } from '../../../../src/plugin/primitives/schedule.ts'
import type { ScheduleOptions } from '../../../../src/plugin/primitives/schedule-options.ts'
import type { ScheduledRun, ScheduleWork } from '../../../../src/plugin/primitives/schedule-run.ts'
import { Schedules } from '../../../../src/plugin/primitives/schedules.ts'
import { settle } from '../../../support/manual-clock.ts'
import type { TestCluster, TestNode } from './primitives.ts'
import { startTestCluster } from './primitives.ts'

/** A run that a test ends by hand. */
export interface HeldRun {
  readonly node: string
  readonly run: ScheduledRun
  readonly end: (error?: Error) => void
}

/** Nodes with schedules, on a log whose time of day is that of the first node's clock. */
export interface SchedulingCluster extends TestCluster {
  /** Of each node. */
  readonly schedules: readonly Schedules[]
  /** Runs in the order of their start, as `n1 12:00:00` with the seconds of their slots. */
  readonly started: string[]
  readonly held: HeldRun[]
  readonly register: (at: number, cron: string, options?: ScheduleOptions, work?: ScheduleWork) => ClusterSchedule
  /** The same schedule "s" on all nodes. Its runs end at once unless the test holds them. */
  readonly registerAll: (cron: string, options?: ScheduleOptions) => readonly ClusterSchedule[]
  /** Work whose runs the test ends. */
  readonly hold: (node: TestNode) => ScheduleWork
}

/** All clocks start at 2026-11-28T12:00:00Z. */
export async function startSchedulingCluster (size = 1): Promise<SchedulingCluster> {
  const test = startTestCluster(size)
  for (const { clock } of test.nodes) clock.moveWall(Date.UTC(2026, 10, 28, 12) - clock.wallMs())
  Object.defineProperty(test.cluster, 'timeMs', { get: () => test.node(0).clock.wallMs() })
  const schedules = test.nodes.map((node) => new Schedules(node, node.engine.nodeId))
  const started: string[] = []
  const held: HeldRun[] = []
  const note = (node: TestNode, { scheduledFor }: ScheduledRun): void => {
    started.push(`${node.engine.nodeId} ${scheduledFor.toISOString().slice(11, 19)}`)
  }
  const register: SchedulingCluster['register'] = (at, cron, options = {}, work = (run) => { note(test.node(at), run) }) => {
    const stop = schedules[at]?.register('s', cron, work, options) ?? (async () => {})
    return createSchedule(new ScheduleControl(test.node(at)), 's', stop)
  }
  await settle()
  return {
    ...test,
    schedules,
    started,
    held,
    register,
    registerAll: (cron, options) => test.nodes.map((_, at) => register(at, cron, options)),
    hold: (node) => async (run) => {
      note(node, run)
      await new Promise<void>((resolve, reject) => {
        held.push({
          node: node.engine.nodeId,
          run,
          end: (error) => { if (error === undefined) resolve(); else reject(error) }
        })
        run.signal.addEventListener('abort', () => { reject(run.signal.reason as Error) })
      })
    }
  }
}
