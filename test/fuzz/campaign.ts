import { SimRandom } from '../sim/random.ts'
import { AllocationWatch, MemoryWatch, PrototypeWatch, RunWatch } from './oracles.ts'
import { printInput } from './print.ts'
import { shrinkInput } from './shrink.ts'
import type { Fuzzed, Outcome, Target } from './target.ts'
import { BrokenRule } from './target.ts'

/** An input that did what no input may do. */
export interface Failure {
  readonly target: string
  readonly index: number
  readonly rule: string
  readonly message: string
  /** As it was found, and cut down; as {@link printInput} writes it. */
  readonly input: string
  readonly shrunk: string | null
}

/** How a target fared. */
export interface Tally {
  inputs: number
  readonly accepted: Record<string, number>
  readonly refused: Record<string, number>
}

/** A finished run. */
export interface CampaignReport {
  readonly tallies: Readonly<Record<string, Tally>>
  readonly failures: readonly Failure[]
  /** Memory in use during the run, in bytes. */
  readonly memoryBytes: readonly number[]
}

/** A run of the fuzzer. */
export interface CampaignOptions {
  readonly targets: readonly Target[]
  readonly seed: number
  readonly inputs: number
  /** The first input; those before it are left out. */
  readonly from?: number
  /** How long one input may take, in milliseconds. */
  readonly limitMs?: number
  readonly maxAllocationBytes?: number
  readonly maxGrowthBytes?: number
  /** Inputs between two looks at the memory. */
  readonly memoryEvery?: number
  /** Hears of each input before it is given. */
  readonly begins?: (index: number, target: string) => void
  readonly progress?: (index: number, failures: readonly Failure[]) => void
  /** Hears of each failure when it has been cut down. */
  readonly failed?: (failure: Failure) => void
}

/** Failures of more kinds than this end a run: it shows nothing more. */
const maxFailures = 20
const maxShrinkRuns = 400

/** The target of a place in a run. */
export function targetAt (targets: readonly Target[], seed: number, index: number): Target {
  const all = targets.reduce((total, { share }) => total + share, 0)
  let at = new SimRandom(seed, 'target', index).next() * all
  for (const target of targets) {
    at -= target.share
    if (at < 0) return target
  }
  throw new RangeError('no target has a share')
}

/** The chance of a place in a run: an input depends on its seed, its place and its target alone. */
export function randomAt (seed: number, target: string, index: number): SimRandom {
  return new SimRandom(seed, target, index)
}

/** Gives inputs to targets, one after the other, and looks after each whether every rule holds. */
export class Campaign {
  readonly #options: CampaignOptions
  readonly #prototypes = new PrototypeWatch()
  readonly #runs: RunWatch
  readonly #allocations: AllocationWatch
  readonly #memory: MemoryWatch
  readonly #open = new Map<string, Fuzzed<unknown>>()
  readonly #tallies: Record<string, Tally> = {}
  readonly #failures: Failure[] = []

  constructor (options: CampaignOptions) {
    this.#options = options
    this.#runs = new RunWatch(options.limitMs)
    this.#allocations = new AllocationWatch(options.maxAllocationBytes)
    this.#memory = new MemoryWatch(options.maxGrowthBytes)
    for (const { name } of options.targets) this.#tallies[name] = { inputs: 0, accepted: {}, refused: {} }
  }

  async run (): Promise<CampaignReport> {
    const { targets, seed, inputs, from = 0, memoryEvery = 5_000, begins, progress } = this.#options
    try {
      for (let index = from; index < from + inputs && this.#failures.length < maxFailures; index++) {
        const target = targetAt(targets, seed, index)
        begins?.(index, target.name)
        await this.#give(target, index)
        if ((index + 1) % memoryEvery === 0) this.#checkMemory(index, target)
        if ((index + 1) % 1_000 === 0) progress?.(index + 1, this.#failures)
      }
    } finally {
      for (const fuzzed of this.#open.values()) await fuzzed.close()
      this.#runs.stop()
      this.#allocations.stop()
    }
    return { tallies: this.#tallies, failures: this.#failures, memoryBytes: this.#memory.samples }
  }

  async #give (target: Target, index: number): Promise<void> {
    const fuzzed = await this.#opened(target)
    const input = fuzzed.make(randomAt(this.#options.seed, target.name, index))
    const tally = this.#tallies[target.name]
    if (tally !== undefined) tally.inputs++
    try {
      const { verdict, code } = await this.#judge(fuzzed, input)
      if (tally !== undefined) tally[verdict][code] = (tally[verdict][code] ?? 0) + 1
    } catch (error) {
      await this.#failed(target, index, input, brokenRuleOf(error))
    }
  }

  /** One input with all rules. Rejects when one is broken. */
  async #judge (fuzzed: Fuzzed<unknown>, input: unknown): Promise<Outcome> {
    this.#allocations.start()
    const outcome = await this.#runs.watch(() => fuzzed.run(input))
    this.#allocations.check()
    this.#prototypes.check()
    this.#runs.checkStray()
    return outcome
  }

  async #failed (target: Target, index: number, input: unknown, { rule, message }: BrokenRule): Promise<void> {
    await this.#drop(target)
    if (this.#failures.some((known) => known.target === target.name && known.rule === rule)) return
    const found = await shrinkInput(input, (candidate) => this.#fails(target, candidate, rule), maxShrinkRuns)
    // One that does not fail by itself needs those before it.
    const shrunk = await this.#fails(target, found.input, rule) ? printInput(found.input) : null
    this.#add({ target: target.name, index, rule, message, input: printInput(input), shrunk })
  }

  /** Whether an input breaks this rule by itself, on a target that has got no other one. */
  async #fails (target: Target, input: unknown, rule: string): Promise<boolean> {
    const fuzzed = await target.open()
    try {
      await this.#judge(fuzzed, input)
      return false
    } catch (error) {
      return brokenRuleOf(error).rule === rule
    } finally {
      await fuzzed.close()
    }
  }

  #checkMemory (index: number, { name }: Target): void {
    try {
      this.#memory.check()
    } catch (error) {
      const { rule, message } = brokenRuleOf(error)
      this.#add({ target: name, index, rule, message, input: 'null', shrunk: null })
    }
  }

  #add (failure: Failure): void {
    this.#failures.push(failure)
    this.#options.failed?.(failure)
  }

  async #opened (target: Target): Promise<Fuzzed<unknown>> {
    const open = this.#open.get(target.name) ?? await target.open()
    this.#open.set(target.name, open)
    return open
  }

  async #drop (target: Target): Promise<void> {
    await this.#open.get(target.name)?.close()
    this.#open.delete(target.name)
  }
}

/** What is thrown by a target, and no refusal, is a failure as well. */
function brokenRuleOf (error: unknown): BrokenRule {
  if (error instanceof BrokenRule) return error
  return new BrokenRule('no input makes a target throw', error instanceof Error ? error.stack ?? error.message : String(error))
}

/** Gives one input to a target with all rules, as a run does. */
export async function replay (target: Target, input: unknown): Promise<Outcome> {
  const fuzzed = await target.open()
  const runs = new RunWatch()
  const allocations = new AllocationWatch()
  const prototypes = new PrototypeWatch()
  try {
    const outcome = await runs.watch(() => fuzzed.run(input))
    allocations.check()
    prototypes.check()
    runs.checkStray()
    return outcome
  } finally {
    await fuzzed.close()
    allocations.stop()
    runs.stop()
  }
}
