import type { ScheduledRun } from '../../../src/plugin/primitives/schedule-run.ts'
import { Schedules } from '../../../src/plugin/primitives/schedules.ts'
import { BrokenPromise } from '../promise.ts'
import type { UserEnvironment } from './user.ts'
import { noticing, wait } from './user.ts'

interface Slot {
  attempts: number
  isCompleted: boolean
}

/**
 * Two schedules on each node. `at-most-once`: no slot begins twice. `at-least-once`: what began is completed in the
 * end. Tokens and new slots only rise, whatever clocks do.
 */
export class ScheduleUsers {
  readonly #most = new Map<number, Slot>()
  readonly #least = new Map<number, Slot>()
  readonly #tokens = new Map<string, number>()
  /** Slots that began. */
  get slots (): number { return this.#most.size + this.#least.size }

  /** Slots of the schedule that promises it which were begun and not completed. */
  get unfinished (): number {
    return [...this.#least.values()].filter(({ isCompleted }) => !isCompleted).length
  }

  start (environment: UserEnvironment): void {
    const schedules = new Schedules(environment.context, environment.process.id)
    schedules.register('at most once', '*/2 * * * * *', (run) =>
      noticing(environment, () => this.#atMostOnce(environment, run)), {
      stopGraceMs: 1_000
    })
    schedules.register('at least once', '*/5 * * * * *', (run) =>
      noticing(environment, () => this.#atLeastOnce(environment, run)), {
      delivery: 'at-least-once',
      catchUpWindowMs: 30_000,
      stopGraceMs: 1_000
    })
  }

  async #atMostOnce (environment: UserEnvironment, run: ScheduledRun): Promise<void> {
    if (!environment.process.isAlive) return
    const slot = this.#begun('at most once', this.#most, run)
    if (slot.attempts > 1 || run.attempt !== 1) {
      throw this.#broken('at most once', run, `begins as attempt ${run.attempt}, the ${slot.attempts}th time`)
    }
    await wait(environment, 0, 2_500, run.signal)
    slot.isCompleted = true
  }

  async #atLeastOnce (environment: UserEnvironment, run: ScheduledRun): Promise<void> {
    if (!environment.process.isAlive) return
    const slot = this.#begun('at least once', this.#least, run)
    await wait(environment, 0, 1_000, run.signal)
    slot.isCompleted = true
  }

  #begun (schedule: string, slots: Map<number, Slot>, run: ScheduledRun): Slot {
    const atMs = run.scheduledFor.getTime()
    const token = Number(run.token)
    const lastToken = this.#tokens.get(schedule) ?? 0
    if (token <= lastToken) throw this.#broken(schedule, run, `has token ${token} after ${lastToken}`)
    this.#tokens.set(schedule, token)
    const known = slots.get(atMs)
    if (known !== undefined) {
      known.attempts++
      return known
    }
    const last = Math.max(0, ...slots.keys())
    if (atMs < last) throw this.#broken(schedule, run, `begins after ${new Date(last).toISOString()}`)
    const slot = { attempts: 1, isCompleted: false }
    slots.set(atMs, slot)
    return slot
  }

  #broken (schedule: string, { scheduledFor }: ScheduledRun, what: string): Error {
    return new BrokenPromise('slots run in order, as often as promised', `${schedule}: ${scheduledFor.toISOString()} ${what}`)
  }
}
