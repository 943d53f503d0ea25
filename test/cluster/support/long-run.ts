import { randomInt } from 'node:crypto'
import { parseArgs } from 'node:util'
import { SimRandom } from '../../sim/random.ts'

/** How long a program runs, and what draws its faults. */
interface LongRun {
  /** Of rounds, or of seconds. */
  readonly count: number
  readonly seed: number
  /** A number in [0, 1). */
  readonly random: () => number
}

/** Reads `--rounds` or `--seconds`, and `--seed`. Throws a RangeError for a number that is none. */
export function readLongRun (unit: 'rounds' | 'seconds', byDefault: number, stream: string): LongRun {
  const { values } = parseArgs({
    options: { [unit]: { type: 'string', default: String(byDefault) }, seed: { type: 'string' } },
    strict: true
  })
  const seed = seedOf(values.seed)
  const random = new SimRandom(seed, stream)
  return { count: countOf(unit, values[unit] as string), seed, random: () => random.next() }
}

/** The number of an option. Throws a RangeError. */
export function countOf (option: string, text: string): number {
  const count = Number(text)
  if (!Number.isSafeInteger(count) || count < 1) throw new RangeError(`--${option} must be a whole number above 0`)
  return count
}

/** The seed that `--seed` gives; a random one when it is left out. Throws a RangeError. */
export function seedOf (text: string | undefined): number {
  const seed = Number(text ?? randomInt(2 ** 31))
  if (!Number.isSafeInteger(seed) || seed < 0) throw new RangeError('--seed must be a whole number')
  return seed
}
