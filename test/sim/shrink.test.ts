import { describe, expect, it } from 'vitest'
import { firstFailure, optionsOf } from './catch-mutant.ts'
import { keptOf } from './interventions.ts'
import { mutants } from './mutants.ts'
import { FailingSeed, runSeed } from './run-seed.ts'
import { replayCommand, shrink } from './shrink.ts'

describe('a failing schedule', () => {
  it('shrinks to a short one that breaks the same promise, and only with the bug', { timeout: 120_000 }, async () => {
    const mutant = mutants.find(({ name }) => name.startsWith('D9 '))
    if (mutant === undefined) throw new Error('there is no D9')
    const options = await optionsOf(mutant)
    const caught = await firstFailure(options, 100)
    if (caught === null) throw new Error('D9 was not caught')
    const { breakage } = caught.failure
    const { schedule, before, after } = await shrink(caught.failure, options)
    expect(before).toBe(breakage.interventions.length)
    expect(after).toBeLessThan(before / 2)
    const failure = await runSeed(schedule.seed, { ...options, ...schedule }).catch((error: unknown) => error)
    expect(failure).toBeInstanceOf(FailingSeed)
    expect((failure as FailingSeed).breakage).toMatchObject({ promise: breakage.promise })
    expect((failure as FailingSeed).breakage.atUs).toBeLessThanOrEqual(breakage.atUs)
    await runSeed(schedule.seed, schedule)
  })

  it('is replayed by one shell command', () => {
    const schedule = {
      seed: 7,
      plan: { drift: 0 },
      kept: keptOf([
        { kind: 'crash', number: 2 },
        { kind: 'propose', number: 4 },
        { kind: 'propose', number: 3 }
      ])
    }
    expect(replayCommand(schedule)).toBe(
      'npm run sim -- --replay \'{"seed":7,"plan":{"drift":0},"kept":{"crash":"2","propose":"3-4"}}\''
    )
    expect(replayCommand(schedule, 'D9')).toMatch(/^npm run sim -- --mutant 'D9' --replay '/)
  })
})
