import type { TaskGrant } from '../../../src/plugin/primitives/grant.ts'
import { createSingleton, createWorkers } from '../../../src/plugin/primitives/singleton.ts'
import type { UserEnvironment } from './user.ts'
import { mayAct, noticing, wait } from './user.ts'

/**
 * Tasks on each node: one of the leader, one that is spread, and three workers. The runs of each do not overlap, and
 * none acts after a later one did.
 */
export class TaskUsers {
  /** Runs on leaders that began. */
  runs = 0
  /** Runs of spread tasks that began. */
  placedRuns = 0

  start (environment: UserEnvironment): void {
    const { context, trustsClocks } = environment
    createSingleton(context, 'leading', (signal, grant) => {
      this.runs++
      return this.#run(environment, 'leading', signal, grant, true)
    })
    const placed = (name: string, signal: AbortSignal, grant: TaskGrant): Promise<void> => {
      this.placedRuns++
      return this.#run(environment, name, signal, grant, trustsClocks)
    }
    createSingleton(context, 'spread', (signal, grant) => placed('spread', signal, grant), { placement: 'spread' })
    createWorkers(context, 'workers', 3, (signal, grant) => placed(`worker ${grant.worker}`, signal, grant))
  }

  async #run (
    environment: UserEnvironment,
    name: string,
    signal: AbortSignal,
    grant: TaskGrant,
    isJudged: boolean
  ): Promise<void> {
    const { claims, process } = environment
    if (!process.isAlive) return
    const token = Number(grant.token)
    await noticing(environment, async () => {
      const ended = isJudged ? claims.begun(name, token, process) : () => {}
      try {
        await this.#work(environment, signal, () => {
          if (isJudged && mayAct(grant.check)) claims.acted(name, token, process.id)
        })
      } finally {
        // It has something to put away, within the time that it may take.
        if (signal.aborted) await wait(environment, 0, 400)
        ended()
      }
    })
  }

  async #work (environment: UserEnvironment, signal: AbortSignal, act: () => void): Promise<void> {
    while (environment.process.isAlive) {
      act()
      await wait(environment, 10, 400, signal)
      if (environment.random.chance(0.02)) throw new Error('this run of a task fails')
    }
  }
}
