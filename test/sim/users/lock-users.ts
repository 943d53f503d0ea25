import { createLock } from '../../../src/plugin/primitives/lock.ts'
import type { LockGrant } from '../../../src/plugin/primitives/lock-grant.ts'
import { createMap } from '../../../src/plugin/primitives/map.ts'
import { isRaftError } from '../../../src/raft/errors.ts'
import { BrokenPromise } from '../promise.ts'
import type { UserEnvironment } from './user.ts'
import { mayAct, repeat, wait } from './user.ts'

/** The map of the counters. */
export const countersMap = 'counters'

/**
 * Users that count under locks: each reads a number and writes the next one, fenced by its grant. Nobody acts under a
 * lock that somebody else has by now, no number is written twice, and none is lost.
 */
export class LockUsers {
  readonly #locks: readonly string[]
  readonly #written = new Map<string, number>()
  readonly #acknowledged = new Map<string, number>()
  readonly #unknown = new Map<string, number>()
  /** Numbers that were acknowledged. */
  counted = 0

  constructor (locks: number) {
    this.#locks = Array.from({ length: locks }, (_, at) => `counted${at}`)
  }

  start (environment: UserEnvironment, thinkMs: number): void {
    repeat(environment, thinkMs, () => this.#turn(environment))
  }

  /** What a counter says in the end. Throws when numbers were lost, or came from nowhere. */
  check (name: string, value: number): void {
    const least = this.#acknowledged.get(name) ?? 0
    const most = least + (this.#unknown.get(name) ?? 0)
    if (value < least || value > most) {
      throw new BrokenPromise('counters under locks are exact', `${name} is ${value}, not ${least} to ${most}`)
    }
  }

  get names (): readonly string[] { return this.#locks }

  async #turn (environment: UserEnvironment): Promise<void> {
    const { context, random, process } = environment
    const name = random.pick(this.#locks)
    const lock = createLock(context, name)
    const byTime = random.chance(0.4) ? { ttlMs: random.between(200, 2_000) } : {}
    const grant = random.chance(0.3)
      ? await lock.tryAcquire(byTime)
      : await lock.acquire({ ...byTime, timeoutMs: random.between(100, 6_000) })
    if (grant === null || !process.isAlive) return
    await this.#count(environment, name, grant)
    if (process.isAlive && random.chance(0.9)) await grant.release()
  }

  async #count (environment: UserEnvironment, name: string, grant: LockGrant): Promise<void> {
    const map = createMap<number>(environment.context, countersMap)
    for (let left = environment.random.between(0, 3); left > 0 && this.#acts(environment, name, grant); left--) {
      const before = (await map.get(name))?.value ?? 0
      await wait(environment, 0, 200)
      if (!environment.process.isAlive || !this.#acts(environment, name, grant)) return
      try {
        await map.set(name, before + 1, { fence: grant.token })
        this.#counted(name, before + 1)
      } catch (error) {
        const isUnknown = isRaftError(error) && error.code === 'RAFT_OUTCOME_UNKNOWN'
        if (isUnknown || !environment.process.isAlive) this.#unknown.set(name, (this.#unknown.get(name) ?? 0) + 1)
        throw error
      }
    }
  }

  /** Whether the grant lets its holder act now. */
  #acts ({ claims, process, trustsClocks }: UserEnvironment, name: string, grant: LockGrant): boolean {
    if (!mayAct(() => { grant.check() })) return false
    if (trustsClocks) claims.acted(`lock ${name}`, Number(grant.token), process.id)
    return true
  }

  #counted (name: string, value: number): void {
    const last = this.#written.get(name) ?? 0
    if (value <= last) {
      throw new BrokenPromise('counters under locks are exact', `${name} is set to ${value} after ${last}`)
    }
    this.#written.set(name, value)
    this.#acknowledged.set(name, (this.#acknowledged.get(name) ?? 0) + 1)
    this.counted++
  }
}
