import { SimRandom } from './random.ts'

/** Something done to the cluster from outside: a fault, a request, a change. Numbered within its kind, from 1 on. */
export interface Intervention {
  readonly kind: string
  readonly number: number
}

/** Which interventions take place, as ranges by kind (`1-4,9`); none of a kind that is left out. */
export type Kept = Readonly<Record<string, string>>

/** Writes a selection the short way. */
export function keptOf (interventions: readonly Intervention[]): Kept {
  const numbers = new Map<string, number[]>()
  for (const { kind, number } of interventions) numbers.set(kind, [...numbers.get(kind) ?? [], number])
  return Object.fromEntries([...numbers].map(([kind, list]) => [kind, toRanges(list)]))
}

function toRanges (numbers: readonly number[]): string {
  const ranges: Array<{ readonly first: number, last: number }> = []
  for (const number of [...numbers].sort((left, right) => left - right)) {
    const range = ranges.at(-1)
    if (range !== undefined && number === range.last + 1) range.last = number
    else ranges.push({ first: number, last: number })
  }
  return ranges.map(({ first, last }) => first === last ? `${first}` : `${first}-${last}`).join(',')
}

function fromRanges (text: string): ReadonlySet<number> {
  const numbers = new Set<number>()
  for (const range of text.split(',')) {
    const [first, last = first] = range.split('-').map(Number)
    if (!Number.isSafeInteger(first) || !Number.isSafeInteger(last)) {
      throw new RangeError(`"${range}" is no range of numbers`)
    }
    for (let number = first ?? 0; number <= (last ?? 0); number++) numbers.add(number)
  }
  return numbers
}

/**
 * Everything that is done to a cluster in one run. Each intervention has a chance of its own, which follows from the
 * seed, its kind and its number: leaving one out changes nothing about when and how the others happen.
 */
export class Interventions {
  readonly #seed: number
  readonly #kept: ReadonlyMap<string, ReadonlySet<number>> | null
  readonly #counts = new Map<string, number>()
  readonly done: Intervention[] = []

  /** Without a selection all take place. */
  constructor (seed: number, kept: Kept | null) {
    this.#seed = seed
    this.#kept = kept === null ? null : new Map(Object.entries(kept).map(([kind, text]) => [kind, fromRanges(text)]))
  }

  /** The chance that decides when interventions of a kind take place. */
  timing (kind: string): SimRandom { return new SimRandom(this.#seed, kind) }

  /** The chance of the next one of a kind, or null when it is left out. */
  next (kind: string): SimRandom | null {
    const number = (this.#counts.get(kind) ?? 0) + 1
    this.#counts.set(kind, number)
    if (this.#kept !== null && this.#kept.get(kind)?.has(number) !== true) return null
    this.done.push({ kind, number })
    return new SimRandom(this.#seed, kind, number)
  }
}
