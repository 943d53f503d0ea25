import { replay } from './campaign.ts'
import { parseInput } from './print.ts'
import type { Outcome } from './target.ts'
import { targets } from './targets.ts'

/** What becomes of an input that was printed with a failure. Rejects when it still breaks a rule. */
export async function replayed (name: string, input: string): Promise<Outcome> {
  const target = targets.find((one) => one.name === name)
  if (target === undefined) throw new RangeError(`no target is called "${name}"`)
  return await replay(target, parseInput(input))
}
