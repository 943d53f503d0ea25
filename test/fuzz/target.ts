import type { SimRandom } from '../sim/random.ts'

/** What became of an input. */
export interface Outcome {
  readonly verdict: 'accepted' | 'refused'
  /** The `RAFT_` code of a refusal, or in a word what happened. */
  readonly code: string
}

/** Something that takes inputs from outside, ready to take them. */
export interface Fuzzed<Input> {
  /** The input of a place in a run: a valid one, a damaged one or noise. Uses no other chance than this. */
  make (random: SimRandom): Input
  /** Gives one input. Rejects with {@link BrokenRule} when that does what no input may do. */
  run (input: Input): Promise<Outcome>
  close (): Promise<void>
}

/** A way by which inputs come in. Its inputs are plain data and bytes, so that they can be printed and cut down. */
export interface Target<Input = unknown> {
  readonly name: string
  /** How many inputs it gets of each 100. */
  readonly share: number
  open (): Promise<Fuzzed<Input>>
}

/** An input did what no input may do. */
export class BrokenRule extends Error {
  readonly rule: string

  constructor (rule: string, details: string) {
    super(`${rule}: ${details}`)
    this.rule = rule
  }
}

export function accepted (code = 'done'): Outcome {
  return { verdict: 'accepted', code }
}

export function refused (code: string): Outcome {
  return { verdict: 'refused', code }
}

/** The refusal that an error is. Only errors with a code of this package are refusals. */
export function refusalBy (error: unknown): Outcome {
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  if (code.startsWith('RAFT_') && code !== 'RAFT_INTERNAL') return refused(code)
  const details = error instanceof Error ? error.stack ?? error.message : String(error)
  throw new BrokenRule('a refusal has a RAFT_ code', details)
}
