import type { TSchema } from 'typebox'
import Type from 'typebox'
import Value from 'typebox/value'
import { nearestName } from './nearest-name.ts'

/** One fault of an options object: where it is, and what is wrong. */
export interface Fault {
  /** For example `members[1].url`; empty for the whole. */
  readonly path: string
  readonly message: string
}

function child (path: string, name: string): string {
  return path === '' ? name : `${path}.${name}`
}

function isRecord (value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/**
 * Reads a value by its schema: fills in defaults and collects every fault. Walks the schema itself because the
 * validator gives up after a handful of errors, and each of them has to be named.
 */
export function readBySchema (schema: TSchema, value: unknown, path: string, faults: Fault[]): unknown {
  if (Type.IsObject(schema)) return readObject(schema.properties, schema.required ?? [], value, path, faults)
  if (Type.IsArray(schema)) return readArray(schema, value, path, faults)
  for (const error of Value.Errors(schema, value)) {
    faults.push({
      path,
      message: error.keyword === 'pattern' ? `must be ${ruleOf(schema)}, got ${JSON.stringify(value)}` : error.message
    })
  }
  return value
}

/** A pattern in words: the schemas carry them as `mustBe`. */
function ruleOf (schema: TSchema): string {
  return 'mustBe' in schema && typeof schema.mustBe === 'string' ? schema.mustBe : 'of the right form'
}

function readArray (
  schema: TSchema & { items: TSchema; minItems?: number; maxItems?: number },
  value: unknown,
  path: string,
  faults: Fault[]
): unknown {
  if (!Array.isArray(value)) {
    faults.push({ path, message: 'must be an array' })
    return []
  }
  if (value.length < (schema.minItems ?? 0)) {
    faults.push({ path, message: `must have at least ${schema.minItems} item` })
  }
  if (value.length > (schema.maxItems ?? Infinity)) {
    faults.push({ path, message: `must have at most ${schema.maxItems} items` })
  }
  return value.map((item, index) => readBySchema(schema.items, item, `${path}[${index}]`, faults))
}

function readObject (
  properties: Record<string, TSchema>,
  required: readonly string[],
  value: unknown,
  path: string,
  faults: Fault[]
): unknown {
  if (!isRecord(value)) {
    faults.push({ path, message: 'must be an object' })
    value = {}
  }
  const given = value as Record<string, unknown>
  const known = Object.keys(properties)
  for (const name of Object.keys(given)) {
    if (known.includes(name)) continue
    const meant = nearestName(name, known)
    faults.push({
      path: child(path, name),
      message: meant === null ? 'is not a known option' : `is not a known option; did you mean "${meant}"?`
    })
  }
  const read: Record<string, unknown> = {}
  for (const [name, schema] of Object.entries(properties)) {
    // `undefined` counts as left out, so that `process.env.X` can be passed on as it is.
    const item = Object.hasOwn(given, name) ? given[name] : undefined
    if (item !== undefined) {
      read[name] = readBySchema(schema, item, child(path, name), faults)
    } else if (required.includes(name)) {
      faults.push({ path: child(path, name), message: 'is required' })
    } else if (Type.IsObject(schema)) {
      read[name] = readBySchema(schema, {}, child(path, name), faults)
    } else if ('default' in schema) {
      read[name] = schema.default
    }
  }
  return read
}
