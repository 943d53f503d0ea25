import type { LeadershipGrant } from '../../../src/plugin/primitives/grant.ts'
import { createSingleton } from '../../../src/plugin/primitives/singleton.ts'
import type { UserEnvironment } from './user.ts'
import { mayAct, noticing, wait } from './user.ts'

const name = 'singleton'

/** A singleton on each node: its runs do not overlap, and none acts after a later one did. */
export class SingletonUsers {
  /** Runs that began. */
  runs = 0

  start (environment: UserEnvironment): void {
    createSingleton(environment.context, name, (signal, grant) =>
      noticing(environment, () => this.#run(environment, signal, grant)))
  }

  async #run (environment: UserEnvironment, signal: AbortSignal, grant: LeadershipGrant): Promise<void> {
    const { claims, process, random } = environment
    if (!process.isAlive) return
    const token = Number(grant.token)
    const ended = claims.begun(name, token, process)
    this.runs++
    try {
      while (process.isAlive) {
        if (mayAct(grant.check)) claims.acted(name, token, process.id)
        await wait(environment, 10, 400, signal)
        if (random.chance(0.02)) throw new Error('this run of the singleton fails')
      }
    } finally {
      // It has something to put away, within the time that it may take.
      if (signal.aborted) await wait(environment, 0, 400)
      ended()
    }
  }
}
