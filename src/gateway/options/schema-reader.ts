import type { TSchema } from 'typebox'
import { nearestName } from './nearest-name.ts'
import { schemaFaults } from './schema-check.ts'

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

interface ObjectSchema extends TSchema {
  readonly properties: Record<string, TSchema>
  readonly required?: readonly string[]
}

interface ArraySchema extends TSchema {
  readonly items: TSchema
  readonly minItems?: number
  readonly maxItems?: number
}

function isObject (schema: TSchema): schema is ObjectSchema {
  return 'properties' in schema
}

function isArray (schema: TSchema): schema is ArraySchema {
  return 'items' in schema
}

/**
 * Reads a value by its schema: fills in defaults and collects every fault. Walks objects and lists itself, to
 * name places as they are written in code, and the options that may have been meant.
 */
export function readBySchema (schema: TSchema, value: unknown, path: string, faults: Fault[]): unknown {
  if (isObject(schema)) return readObject(schema.properties, schema.required ?? [], value, path, faults)
  if (isArray(schema)) return readArray(schema, value, path, faults)
  for (const fault of schemaFaults(schema, value)) {
    faults.push({
      path,
      message: fault.keyword === 'pattern' ? `must be ${ruleOf(schema)}, got ${JSON.stringify(value)}` : fault.message
    })
  }
  return value
}

/** A pattern in words: the schemas carry them as `mustBe`. */
function ruleOf (schema: TSchema): string {
  return 'mustBe' in schema && typeof schema.mustBe === 'string' ? schema.mustBe : 'of the right form'
}

function readArray (schema: ArraySchema, value: unknown, path: string, faults: Fault[]): unknown {
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
    } else if (isObject(schema)) {
      read[name] = readBySchema(schema, {}, child(path, name), faults)
    } else if ('default' in schema) {
      read[name] = schema.default
    }
  }
  return read
}
