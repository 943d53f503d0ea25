import { isDeepStrictEqual } from 'node:util'
import type { RefusedAnswer } from './answer.ts'
import { refuse } from './answer.ts'
import type { KeyEnd } from './key-lives.ts'
import { limits } from './limits.ts'
import { byteLength, isFlag, isIndex, isKey, isKeyTtl, isMapName, isPresent, isToken, nestsWithin } from './validate.ts'

/** What a transaction asks of one key: that it is at a revision (0: absent), that it exists or not, or has a value. */
export type MapComparison = { readonly map: string, readonly key: string } & (
  { readonly revision: number } | { readonly exists: boolean } | { readonly value: unknown }
)

/** One write of a transaction. */
export type MapWrite =
  | ({ readonly kind: 'set', readonly map: string, readonly key: string, readonly value: unknown } & KeyEnd)
  | { readonly kind: 'delete', readonly map: string, readonly key: string }

/** All that a transaction asks and may write. */
interface TransactionSteps {
  readonly compare: readonly MapComparison[]
  readonly then: readonly MapWrite[]
  readonly else: readonly MapWrite[]
}

type Fields = Readonly<Record<string, (value: unknown) => boolean>>

const key: Fields = { map: isMapName, key: isKey }
const comparisons: readonly Fields[] = [
  { ...key, revision: isIndex },
  { ...key, exists: isFlag },
  { ...key, value: isPresent }
]
const setting: Fields = { ...key, kind: (kind) => kind === 'set', value: isPresent }
const writes: readonly Fields[] = [
  setting,
  { ...setting, ttlMs: isKeyTtl },
  { ...setting, session: isToken },
  { ...key, kind: (kind) => kind === 'delete' }
]

/** Whether a JSON value is the list of comparisons of a transaction. */
export function areComparisons (value: unknown): boolean {
  return isListOf(value, comparisons)
}

/** Whether a JSON value is the list of writes of a branch, with no key twice. */
export function areWrites (value: unknown): boolean {
  if (!isListOf(value, writes)) return false
  const named = (value as readonly MapWrite[]).map((write) => JSON.stringify([write.map, write.key]))
  return new Set(named).size === named.length
}

function isListOf (value: unknown, forms: readonly Fields[]): boolean {
  if (!Array.isArray(value) || value.length > limits.maxTransactionSteps) return false
  return value.every((item) => forms.some((form) => hasForm(item, form)))
}

/** Exactly these members, as members of its own. */
function hasForm (item: unknown, form: Fields): boolean {
  if (typeof item !== 'object' || item === null || Array.isArray(item)) return false
  const members = new Map<string, unknown>(Object.entries(item))
  const names = Object.entries(form)
  return members.size === names.length && names.every(([name, accepts]) => accepts(members.get(name)))
}

/** Why a transaction of the right form is refused for its size; null when it is not. */
export function transactionFault ({ compare, then, else: otherwise }: TransactionSteps): RefusedAnswer | null {
  const steps = [...compare, ...then, ...otherwise]
  for (const step of steps) {
    if (byteLength(step.key) > limits.maxKeyBytes) {
      return refuse('RAFT_TOO_LARGE', `The key is larger than ${limits.maxKeyBytes} bytes`)
    }
    if ('value' in step && !nestsWithin(step.value, limits.maxValueDepth)) {
      return refuse('RAFT_TOO_LARGE', `The value nests deeper than ${limits.maxValueDepth} levels`)
    }
  }
  return null
}

/** Whether a key is as a comparison asks. */
export function holds (
  comparison: MapComparison,
  current: { readonly revision: number, readonly valueJson: string } | undefined
): boolean {
  if ('revision' in comparison) return comparison.revision === (current?.revision ?? 0)
  if ('exists' in comparison) return comparison.exists === (current !== undefined)
  return current !== undefined && isSameJson(JSON.stringify(comparison.value), current.valueJson)
}

/**
 * Whether two texts by `JSON.stringify` say the same: the order of members makes no difference. Such texts are of one
 * length, so that nothing is parsed that is longer than the command.
 */
function isSameJson (text: string, other: string): boolean {
  if (text === other) return true
  return text.length === other.length && isDeepStrictEqual(JSON.parse(text), JSON.parse(other))
}
