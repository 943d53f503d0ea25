import { nestsWithin } from './validate.ts'

/** Why a value cannot be written as JSON and read back unchanged, or null. `path` names the place. */
export function jsonFault (value: unknown, path: string): string | null {
  return faultOf(value, path, false, new Set())
}

/**
 * As {@link jsonFault}, and freezes the value on the way, so that a later change of it throws. Parts that are frozen
 * already were checked before.
 */
export function freezeJson (value: unknown, path: string): string | null {
  return faultOf(value, path, true, new Set())
}

function faultOf (value: unknown, path: string, freezes: boolean, above: Set<object>): string | null {
  if (value === null || typeof value === 'string' || typeof value === 'boolean') return null
  if (typeof value === 'number') {
    return Number.isFinite(value) && !Object.is(value, -0) ? null : `${path} is ${Object.is(value, -0) ? '-0' : value}`
  }
  if (typeof value !== 'object') return `${path} is of type ${typeof value}`
  if (above.has(value)) return `${path} contains itself`
  if (freezes && Object.isFrozen(value)) return null
  above.add(value)
  const fault = Array.isArray(value)
    ? faultInArray(value, path, freezes, above)
    : faultInObject(value, path, freezes, above)
  above.delete(value)
  if (fault === null && freezes) Object.freeze(value)
  return fault
}

function faultInArray (value: readonly unknown[], path: string, freezes: boolean, above: Set<object>): string | null {
  for (let at = 0; at < value.length; at++) {
    const fault = faultOf(value[at], `${path}[${at}]`, freezes, above)
    if (fault !== null) return fault
  }
  return null
}

function faultInObject (value: object, path: string, freezes: boolean, above: Set<object>): string | null {
  const prototype = Object.getPrototypeOf(value) as unknown
  if (prototype !== Object.prototype && prototype !== null) return `${path} is not a plain object`
  if (typeof (value as { toJSON?: unknown }).toJSON === 'function') return `${path} has a toJSON of its own`
  for (const [name, member] of Object.entries(value)) {
    const fault = faultOf(member, `${path}.${name}`, freezes, above)
    if (fault !== null) return fault
  }
  return null
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
