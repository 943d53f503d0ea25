import type { Leadership } from '../../raft/index.ts'
import { InvalidOptionsError, ScheduleExistsError } from '../../raft/index.ts'
import { systemTimers } from '../../raft/internal.ts'
import { limits } from '../replicated/limits.ts'
import { isScheduleName } from '../replicated/schedule-command.ts'
import type { PrimitiveContext } from './context.ts'
import { cronSlots } from './cron.ts'
import type { ScheduleOptions } from './schedule-options.ts'
import { defineSchedule } from './schedule-options.ts'
import type { ScheduleWork } from './schedule-run.ts'
import { ScheduleTask } from './schedule-task.ts'
import type { StoppingSingletons } from './singleton.ts'
import { TimeHeap } from './time-heap.ts'

/** A wall clock that is set forward is noticed within this, in milliseconds. */
const maxSleepMs = 10_000
/** Timers count on another clock than the one that says what is due, and may be early by a little. */
const minSleepMs = 1
/** Schedules looked at in one turn: where thousands come due together, the node goes on with all else in between. */
const maxLooks = 500

/** A schedule that is to be looked at, by the wall clock. */
interface Due {
  readonly atMs: number
  readonly task: ScheduleTask
}

/** The schedules that one node has registered, and their common timer while it leads. */
export class Schedules {
  readonly #context: PrimitiveContext
  readonly #nodeId: string
  readonly #tasks = new Map<string, ScheduleTask>()
  readonly #due = new TimeHeap<ScheduleTask, Due>(({ task }) => task)
  #leads = false
  #isPaused = false
  #timer: { readonly atMs: number, readonly cancel: () => void } | null = null
  readonly #unsubscribe: () => void

  constructor (context: PrimitiveContext, nodeId: string) {
    this.#context = context
    this.#nodeId = nodeId
    const { engine, machine } = context
    const follow = (leadership: Leadership | null): void => { this.#follow(leadership) }
    engine.events.on('leadership', follow)
    const endChanges = machine.onScheduleChange((change) => { this.#tasks.get(change.name)?.changed(change) })
    this.#unsubscribe = () => {
      engine.events.off('leadership', follow)
      endChanges()
    }
    this.#follow(engine.openLeadership())
  }

  /** Throws as `Cluster.schedule` says. The function returned ends it on this node. */
  register (name: string, cron: string, work: ScheduleWork, options: ScheduleOptions): () => Promise<void> {
    if (!isScheduleName(name)) {
      throw new InvalidOptionsError(`a schedule name has 1 to ${limits.maxScheduleNameLength} characters`)
    }
    if (this.#tasks.has(name)) throw new ScheduleExistsError(name)
    const definition = defineSchedule(cron, options)
    const slots = cronSlots(cron, definition.timeZone)
    const registration = { name, definition, slots, work }
    const task = new ScheduleTask(this.#context, this.#nodeId, registration, () => { this.#expect(task) })
    this.#tasks.set(name, task)
    if (this.#isPaused) task.pause()
    task.follow(this.#context.engine.openLeadership())
    task.look()
    return async () => {
      await task.stop()
      if (this.#tasks.get(name) === task) this.#tasks.delete(name)
    }
  }

  /** Begins nothing more, and asks all runs to end, with `RAFT_HANDOVER`, until it is told to go on. */
  pause (): StoppingSingletons {
    this.#isPaused = true
    const tasks = [...this.#tasks.values()]
    const paused = tasks.map((task) => task.pause())
    return {
      ended: Promise.all(paused.map(({ ended }) => ended)).then(() => {}),
      known: Promise.all(paused.map(({ known }) => known)).then(() => {}),
      running: () => tasks.filter((task) => task.isRunning).map((task) => task.registration.name),
      resume: () => {
        this.#isPaused = false
        for (const task of this.#tasks.values()) task.resume()
      }
    }
  }

  /** Ends it: no more timers. */
  close (): void {
    this.#unsubscribe()
    this.#disarm()
  }

  #follow (leadership: Leadership | null): void {
    this.#leads = leadership !== null
    if (leadership === null) this.#disarm()
    for (const task of this.#tasks.values()) task.follow(leadership)
  }

  #expect (task: ScheduleTask): void {
    const { dueMs: atMs } = task
    if (atMs === null) {
      this.#due.remove(task)
      return
    }
    this.#due.put({ atMs, task })
    this.#arm()
  }

  #arm (): void {
    const { first } = this.#due
    if (!this.#leads || first === undefined) return
    const { clock, timers = systemTimers } = this.#context
    const sleepMs = Math.max(minSleepMs, Math.min(maxSleepMs, first.atMs - clock.wallMs()))
    const atMs = clock.monotonicMs() + sleepMs
    if (this.#timer !== null && this.#timer.atMs <= atMs) return
    this.#disarm()
    const cancel = timers.after(sleepMs, () => {
      this.#timer = null
      this.#wake()
    }, { background: true })
    this.#timer = { atMs, cancel }
  }

  #disarm (): void {
    this.#timer?.cancel()
    this.#timer = null
  }

  #wake (): void {
    const nowMs = this.#context.clock.wallMs()
    for (let looks = 0; looks < maxLooks; looks++) {
      const { first } = this.#due
      if (first === undefined || first.atMs > nowMs) break
      this.#due.remove(first.task)
      first.task.look()
    }
    this.#arm()
  }
}
