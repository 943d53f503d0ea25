/**
 * About how many bytes a JSON value takes: the same for equal values on every node, and cheap, since strings are not
 * looked into. What JSON cannot say counts like null.
 */
export function jsonSize (value: unknown): number {
  if (typeof value === 'string') return value.length + 2
  if (typeof value !== 'object' || value === null) return 8
  let size = 2
  if (Array.isArray(value)) for (const item of value) size += jsonSize(item)
  else for (const name in value) size += name.length + 3 + jsonSize((value as Record<string, unknown>)[name])
  return size
}
