import type { OnceGrant } from '../../../src/plugin/primitives/once.ts'
import { runOnce } from '../../../src/plugin/primitives/once.ts'
import { BrokenPromise } from '../promise.ts'
import type { UserEnvironment } from './user.ts'
import { mayAct, noticing, repeat, wait } from './user.ts'

const name = 'migration'

class WorkFailed extends Error {}

/** Users that do work once for each version, one version after the other: all get the result of one attempt. */
export class OnceUsers {
  readonly #results = new Map<number, string>()
  readonly #returned = new Set<string>()
  #attempts = 0
  /** Versions that are done. */
  get done (): number { return this.#results.size }

  start (environment: UserEnvironment, thinkMs: number): void {
    let version = 1
    repeat(environment, thinkMs, async () => {
      try {
        await this.#turn(environment, version)
        version++
      } catch (error) {
        if (!(error instanceof WorkFailed)) throw error
      }
    })
  }

  async #turn (environment: UserEnvironment, version: number): Promise<void> {
    const result = await runOnce(environment.context, {
      name,
      version,
      run: (grant) => noticing(environment, () => this.#work(environment, version, grant)),
      wait: {}
    })
    if (!environment.process.isAlive) return
    const known = this.#results.get(version)
    if (!this.#returned.has(result) || (known !== undefined && known !== result)) {
      throw new BrokenPromise('all get the result of one attempt', `${version}: ${result}, and ${known ?? 'nothing'} before`)
    }
    this.#results.set(version, result)
  }

  async #work (environment: UserEnvironment, version: number, grant: OnceGrant): Promise<string> {
    const { claims, process, random, trustsClocks } = environment
    if (this.#results.has(version)) {
      throw new BrokenPromise('what is done is done once', `${process.id} begins version ${version}, which is done`)
    }
    for (let left = random.between(1, 4); left > 0; left--) {
      await wait(environment, 10, 300)
      if (trustsClocks && process.isAlive && mayAct(grant.check)) {
        claims.acted(`${name} ${version}`, Number(grant.token), process.id)
      }
    }
    if (random.chance(0.2)) throw new WorkFailed('this attempt fails')
    const result = `attempt ${++this.#attempts} on ${process.id}`
    this.#returned.add(result)
    return result
  }
}
