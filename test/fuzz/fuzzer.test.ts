import { describe, expect, it } from 'vitest'
import type { CampaignOptions, CampaignReport } from './campaign.ts'
import { Campaign, randomAt, replay, targetAt } from './campaign.ts'
import { MemoryWatch, PrototypeWatch } from './oracles.ts'
import { parseInput, printInput } from './print.ts'
import { shrinkInput } from './shrink.ts'
import type { Fuzzed, Outcome, Target } from './target.ts'
import { accepted, refused } from './target.ts'
import { targets } from './targets.ts'

const byName = targets.map((target) => [target.name, target] as const)

async function campaign (
  options: Partial<CampaignOptions> & Pick<CampaignOptions, 'targets'>
): Promise<CampaignReport> {
  return await new Campaign({ seed: 1, inputs: 100, ...options }).run()
}

/** A target of numbers and texts, with a bug of the test's choice in it. */
function numbersTarget (run: (input: NumberInput) => Outcome | Promise<Outcome>): Target<NumberInput> {
  const fuzzed: Fuzzed<NumberInput> = {
    make: (random) => ({ value: random.between(0, 99), text: 'x'.repeat(random.between(0, 20)) }),
    run: async (input) => await run(input),
    close: async () => {}
  }
  return { name: 'numbers', share: 1, open: async () => fuzzed }
}

interface NumberInput {
  readonly value: number
  readonly text: string
}

describe('the inputs', () => {
  it.each(byName)('of %s are the same for the same seed', async (_name, target) => {
    const inputsOf = async (): Promise<readonly string[]> => {
      const fuzzed = await target.open()
      const inputs = Array.from({ length: 200 }, (_, index) => printInput(fuzzed.make(randomAt(7, target.name, index))))
      await fuzzed.close()
      return inputs
    }
    const first = await inputsOf()
    expect(await inputsOf()).toEqual(first)
    expect(new Set(first).size).toBeGreaterThan(100)
  })

  it('come out of print as they went in', () => {
    const numbers = [Number.NaN, -0, 1]
    const input = { bytes: Uint8Array.of(0, 255), buffer: Buffer.from('a'), numbers, text: '\ud800' }
    expect(parseInput(printInput(input))).toEqual({ ...input, buffer: Uint8Array.of(97) })
  })

  it('go to every target by its share', () => {
    const counts = new Map<string, number>()
    for (let index = 0; index < 5_000; index++) {
      const { name } = targetAt(targets, 1, index)
      counts.set(name, (counts.get(name) ?? 0) + 1)
    }
    for (const { name, share } of targets) expect([name, (counts.get(name) ?? 0) > 25 * share]).toEqual([name, true])
  })
})

describe('each target', () => {
  it.each(byName)('%s takes inputs and refuses inputs, and keeps every rule', async (_name, target) => {
    const { failures, tallies } = await campaign({ targets: [target], inputs: 400, seed: 11 })
    expect(failures).toEqual([])
    const { accepted: taken = {}, refused: turnedAway = {} } = tallies[target.name] ?? {}
    expect(Object.keys(taken).length).toBeGreaterThan(0)
    expect(Object.keys(turnedAway).length).toBeGreaterThan(0)
  })
})

/** The target with a bug behind it: what it accepts makes it throw. */
function planted (target: Target): Target {
  const open = async (): Promise<Fuzzed<unknown>> => {
    const fuzzed = await target.open()
    return {
      make: (random) => fuzzed.make(random),
      close: () => fuzzed.close(),
      run: async (input) => {
        const outcome = await fuzzed.run(input)
        if (outcome.verdict === 'accepted') throw new TypeError('planted')
        return outcome
      }
    }
  }
  return { ...target, open }
}

// The others open an application or a node for each try to cut an input down: the same code, and many times slower.
const quickTargets = byName.filter(([name]) => /^(log|snapshot)-files$|^states$|^commands$/.test(name))

describe('a bug behind a target', () => {
  it.each(quickTargets)('is found behind %s, and its input is printed so that it can be given again', async (name, target) => {
    const withBug = planted(target)
    const { failures: [failure] } = await campaign({ targets: [withBug], inputs: 60 })
    expect(failure).toMatchObject({ target: name, rule: 'no input makes a target throw' })
    const { input = '', shrunk } = failure ?? {}
    expect(shrunk?.length).toBeLessThanOrEqual(input.length)
    await expect(replay(withBug, parseInput(shrunk ?? ''))).rejects.toThrow('planted')
  })
})

describe('a rule that is broken', () => {
  it('is found, and its input is cut down to what breaks it', async () => {
    const target = numbersTarget(({ value, text }) => {
      if (value > 50 && text.length > 3) throw new TypeError('planted')
      return accepted()
    })
    const { failures: [failure] } = await campaign({ targets: [target] })
    expect(failure).toMatchObject({ target: 'numbers', rule: 'no input makes a target throw' })
    expect(parseInput(failure?.shrunk ?? '')).toMatchObject({ text: 'xxxx' })
    expect(failure?.message).toContain('planted')
  })

  it('is a prototype that has changed', async () => {
    const target = numbersTarget(({ value }) => {
      if (value > 50) Object.assign(Object.prototype, { planted: true })
      return refused('RAFT_PLANTED')
    })
    const { failures: [failure] } = await campaign({ targets: [target] })
    expect(failure?.rule).toBe('no input changes a prototype')
    expect({}).not.toHaveProperty('planted')
    expect(() => { new PrototypeWatch().check() }).not.toThrow()
  })

  it('is a member of a prototype that is another one', () => {
    const watch = new PrototypeWatch()
    const original: unknown = Reflect.get(Array.prototype, 'findLast')
    Reflect.set(Array.prototype, 'findLast', () => false)
    try {
      expect(() => { watch.check() }).toThrow('no input changes a prototype')
    } finally {
      Reflect.set(Array.prototype, 'findLast', original)
    }
  })

  it('is an input that is never answered', async () => {
    const target = numbersTarget(({ value }) => value > 50 ? new Promise(() => {}) : accepted())
    const { failures: [failure] } = await campaign({ targets: [target], limitMs: 30 })
    expect(failure?.rule).toBe('every input is answered in time')
  })

  it('is an input that takes much memory at once', async () => {
    const target = numbersTarget(({ value }) => {
      if (value > 50) Buffer.alloc(2_000_000)
      return accepted()
    })
    const { failures: [failure] } = await campaign({ targets: [target], maxAllocationBytes: 1_000_000 })
    expect(failure?.rule).toBe('no input takes much memory')
  })

  it('is memory that grows with the number of inputs', async () => {
    const kept: Uint8Array[] = []
    const target = numbersTarget(() => {
      kept.push(new Uint8Array(100_000))
      return accepted()
    })
    const { failures } = await campaign({ targets: [target], memoryEvery: 10, maxGrowthBytes: 2_000_000 })
    expect(failures[0]?.rule).toBe('memory does not grow with the number of inputs')
    expect(() => {
      const watch = new MemoryWatch(2_000_000)
      for (let samples = 0; samples < 5; samples++) watch.check()
    }).not.toThrow()
  })
})

describe('shrinking', () => {
  it('leaves bytes, lists and numbers that cannot be left out', async () => {
    const input = { bytes: new Uint8Array(100).fill(1).with(40, 9), list: ['a', 'b', 'c'], count: 77 }
    const { input: shrunk } = await shrinkInput(input, async (candidate) => {
      const { bytes, list, count } = candidate as typeof input
      return bytes.includes(9) && list.includes('b') && count > 4
    })
    expect(shrunk).toEqual({ bytes: Buffer.of(9), list: ['b'], count: expect.any(Number) as number })
    expect((shrunk as typeof input).count).toBeLessThan(10)
  })

  it('ends after so many runs', async () => {
    let runs = 0
    await shrinkInput(new Array(1_000).fill('x'), async () => { runs++; return false }, 20)
    expect(runs).toBe(20)
  })
})
