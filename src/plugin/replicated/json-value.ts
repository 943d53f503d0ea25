import { limits } from './limits.ts'
import { nestsWithin } from './validate.ts'

/** Why a value is not what JSON writes and reads back unchanged. */
interface JsonFault {
  /** `too-deep`: JSON in itself, and nested deeper than allowed. */
  readonly reason: 'not-json' | 'too-deep'
  /** The place and what stands there, for example `$.a[3].b is NaN`. */
  readonly message: string
}

/** How a value is checked. */
interface JsonCheck {
  /** Name of the value in the path of a fault; `$` when left out. */
  readonly root?: string
  /** How many levels of arrays and objects are allowed. */
  readonly maxDepth?: number
  /**
   * A value that was checked before. Parts of it that stand at the same place again are not visited: a state that
   * shares structure with the one before costs what is new. What is found does not depend on it.
   */
  readonly previous?: unknown
  /** Freezes the value, so that a later change of it throws. */
  readonly freezes?: boolean
}

/** A fault on its way up: the steps of its path come from the innermost to the outermost. */
interface Found {
  readonly reason: JsonFault['reason']
  readonly what: string
  readonly steps: Array<string | number>
}

const maxStepLength = 60
const maxPathLength = 300

/**
 * The first place where a value is not what JSON carries, or null: NaN, Infinity, -0, undefined, BigInt, functions,
 * symbols, objects that are not plain, a `toJSON`, a cycle. The same on every node for equal values.
 */
export function jsonFault (value: unknown, check: JsonCheck = {}): JsonFault | null {
  const { root = '$', maxDepth = limits.maxStateDepth, previous, freezes = false } = check
  const found = new JsonWalk(maxDepth, freezes).visit(value, previous, 0)
  if (found === null) return null
  return { reason: found.reason, message: `${pathOf(root, found.steps)} ${found.what}` }
}

class JsonWalk {
  readonly #maxDepth: number
  readonly #freezes: boolean
  readonly #above = new Set<object>()

  constructor (maxDepth: number, freezes: boolean) {
    this.#maxDepth = maxDepth
    this.#freezes = freezes
  }

  visit (value: unknown, previous: unknown, depth: number): Found | null {
    if (typeof value !== 'object' || value === null) return faultOfPrimitive(value)
    // At the same depth as before, so that it is not too deep either.
    if (value === previous) return null
    if (this.#above.has(value)) return found('contains itself')
    if (depth >= this.#maxDepth) return found(`nests deeper than ${this.#maxDepth} levels`, 'too-deep')
    const shape = faultOfShape(value)
    if (shape !== null) return shape
    this.#above.add(value)
    const fault = Array.isArray(value)
      ? this.#visitItems(value, Array.isArray(previous) ? previous : [], depth + 1)
      : this.#visitMembers(value, previous, depth + 1)
    this.#above.delete(value)
    if (fault === null && this.#freezes) Object.freeze(value)
    return fault
  }

  #visitItems (items: readonly unknown[], previous: readonly unknown[], depth: number): Found | null {
    // Items behind an insertion or a removal stand where they stood, counted from the end.
    const shift = previous.length - items.length
    for (let at = 0; at < items.length; at++) {
      const item = items[at]
      if (typeof item === 'object' && item !== null && item === previous[at + shift]) continue
      const fault = this.visit(item, previous[at], depth)
      if (fault !== null) return within(fault, at)
    }
    return null
  }

  #visitMembers (value: object, previous: unknown, depth: number): Found | null {
    const members = value as Readonly<Record<string, unknown>>
    const before = typeof previous === 'object' && previous !== null
      ? previous as Readonly<Record<string, unknown>>
      : null
    for (const name of Object.keys(members)) {
      const member = members[name]
      // Most members are texts and numbers: only for the others it matters what was there before.
      const fault = typeof member !== 'object' || member === null
        ? faultOfPrimitive(member)
        : this.visit(member, before?.[name], depth)
      if (fault !== null) return within(fault, name)
    }
    return null
  }
}

function faultOfPrimitive (value: unknown): Found | null {
  switch (typeof value) {
    case 'string':
    case 'boolean':
    case 'object': return null
    case 'number': return Number.isFinite(value) && !Object.is(value, -0)
      ? null
      : found(`is ${Object.is(value, -0) ? '-0' : value}`)
    case 'undefined': return found('is undefined')
    case 'bigint': return found('is a BigInt')
    default: return found(`is a ${typeof value}`)
  }
}

/** Judged without the objects of this realm alone: values may come from another one, as in a test runner. */
function faultOfShape (value: object): Found | null {
  const prototype = Object.getPrototypeOf(value) as object | null
  const isPlain = Array.isArray(value)
    ? Array.isArray(prototype)
    : prototype === null || Object.getPrototypeOf(prototype) === null
  if (!isPlain) {
    const tag = Object.prototype.toString.call(value).slice('[object '.length, -1)
    return found(`is not a plain object${tag === 'Object' ? '' : ` but of type ${tag}`}`)
  }
  if (typeof (value as { toJSON?: unknown }).toJSON === 'function') return found('has a toJSON of its own')
  if (Object.getOwnPropertySymbols(value).length > 0) return found('has a symbol as a name')
  return null
}

function found (what: string, reason: JsonFault['reason'] = 'not-json'): Found {
  return { reason, what, steps: [] }
}

function within (fault: Found, step: string | number): Found {
  fault.steps.push(step)
  return fault
}

function pathOf (root: string, steps: readonly (string | number)[]): string {
  let path = root
  for (const step of steps.toReversed()) {
    if (path.length > maxPathLength) return `${path}…`
    path += typeof step === 'number' ? `[${step}]` : memberOf(step)
  }
  return path
}

function memberOf (name: string): string {
  const shown = name.length > maxStepLength ? `${name.slice(0, maxStepLength)}…` : name
  return /^[\p{L}_$][\p{L}\p{N}_$]*$/u.test(name) ? `.${shown}` : `[${JSON.stringify(shown)}]`
}

/**
 * Whether a parsed JSON value could reach a prototype when its members are copied: a member `__proto__`, or a
 * `constructor` with a `prototype`. Visits no deeper than `depth`; deeper values are unsafe.
 */
export function isSafeJson (value: unknown, depth: number): boolean {
  return nestsWithin(value, depth) && hasSafeNames(value)
}

function hasSafeNames (value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return true
  if (Array.isArray(value)) return value.every((item: unknown) => hasSafeNames(item))
  for (const [name, member] of Object.entries(value) as [string, unknown][]) {
    if (name === '__proto__') return false
    if (name === 'constructor' && typeof member === 'object' && member !== null && Object.hasOwn(member, 'prototype')) {
      return false
    }
    if (!hasSafeNames(member)) return false
  }
  return true
}

/** Whether a text is JSON. */
export function isJson (text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}
