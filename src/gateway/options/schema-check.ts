import type { Static, TSchema } from 'typebox'

/** The keywords that `Type` makes, as far as a value is judged by them. */
interface Keywords {
  readonly type?: 'array' | 'boolean' | 'integer' | 'null' | 'number' | 'object' | 'string'
  readonly const?: unknown
  readonly anyOf?: readonly Keywords[]
  readonly minimum?: number
  readonly maximum?: number
  readonly minLength?: number
  readonly maxLength?: number
  readonly pattern?: string
  readonly items?: Keywords
  readonly minItems?: number
  readonly maxItems?: number
  readonly properties?: Readonly<Record<string, Keywords>>
  readonly patternProperties?: Readonly<Record<string, Keywords>>
  readonly required?: readonly string[]
  readonly additionalProperties?: boolean
}

/** One reason why a value does not fit its schema. */
interface SchemaFault {
  /** A JSON pointer (RFC 6901) to the value within the whole; empty for the whole. */
  readonly pointer: string
  /** The keyword of the schema that says so. */
  readonly keyword: string
  readonly message: string
}

/** Every reason why a value does not fit a schema that was built with `Type`; none when it does. */
export function schemaFaults (schema: TSchema, value: unknown): readonly SchemaFault[] {
  return judge(schema, value, '')
}

/** Whether a value fits a schema that was built with `Type`. */
export function fits<Schema extends TSchema> (schema: Schema, value: unknown): value is Static<Schema> {
  return schemaFaults(schema, value).length === 0
}

/**
 * A query with the whole numbers that its schema asks for in place of their digits. Anything else stays text, which the
 * schema then refuses.
 */
export function withNumbers ({ properties = {} }: Keywords, query: unknown): unknown {
  if (typeof query !== 'object' || query === null) return query
  return Object.fromEntries(Object.entries(query).map(([name, value]: [string, unknown]) => {
    const isNumber = Object.hasOwn(properties, name) && properties[name]?.type === 'integer'
    return [name, isNumber && typeof value === 'string' && /^-?[0-9]{1,20}$/.test(value) ? Number(value) : value]
  }))
}

function judge (schema: Keywords, value: unknown, pointer: string): readonly SchemaFault[] {
  if (schema.anyOf !== undefined) return judgeAlternatives(schema.anyOf, value, pointer)
  // A value of any type is not looked into, however deep it is.
  if (schema.type === undefined) return []
  if (!isOfType(schema.type, value)) return [{ pointer, keyword: 'type', message: `must be ${schema.type}` }]
  if (schema.const !== undefined && value !== schema.const) {
    return [{ pointer, keyword: 'const', message: `must be ${nameOf(schema)}` }]
  }
  if (typeof value === 'number') return judgeNumber(schema, value, pointer)
  if (typeof value === 'string') return judgeText(schema, value, pointer)
  if (Array.isArray(value)) return judgeList(schema, value, pointer)
  return typeof value === 'object' && value !== null ? judgeRecord(schema, value, pointer) : []
}

/** When the value is of the type of an alternative, that one was meant. */
function judgeAlternatives (
  alternatives: readonly Keywords[],
  value: unknown,
  pointer: string
): readonly SchemaFault[] {
  const faults = alternatives.map((schema) => judge(schema, value, pointer))
  if (faults.some(({ length }) => length === 0)) return []
  const meant = alternatives.findIndex(({ type, const: only }) => only === undefined && isOfType(type, value))
  return faults[meant] ?? [{ pointer, keyword: 'anyOf', message: `must be ${alternatives.map(nameOf).join(' or ')}` }]
}

function nameOf ({ type, const: only }: Keywords): string {
  return only === undefined ? `${type}` : JSON.stringify(only)
}

function isOfType (type: Keywords['type'], value: unknown): boolean {
  switch (type) {
    case undefined: return true
    case 'array': return Array.isArray(value)
    case 'integer': return Number.isInteger(value)
    case 'null': return value === null
    case 'number': return Number.isFinite(value)
    case 'object': return typeof value === 'object' && value !== null && !Array.isArray(value)
    case 'boolean': return typeof value === 'boolean'
    case 'string': return typeof value === 'string'
  }
}

function judgeNumber (
  { minimum = -Infinity, maximum = Infinity }: Keywords,
  value: number,
  pointer: string
): readonly SchemaFault[] {
  if (value < minimum) return [{ pointer, keyword: 'minimum', message: `must be >= ${minimum}` }]
  return value > maximum ? [{ pointer, keyword: 'maximum', message: `must be <= ${maximum}` }] : []
}

function judgeText (
  { minLength = 0, maxLength = Infinity, pattern }: Keywords,
  value: string,
  pointer: string
): readonly SchemaFault[] {
  const faults: SchemaFault[] = []
  // No text has more characters than units of UTF-16: most need not be counted.
  const length = minLength <= 1 && value.length <= maxLength ? value.length : [...value].length
  if (length < minLength) {
    faults.push({ pointer, keyword: 'minLength', message: `must not have fewer than ${minLength} characters` })
  }
  if (length > maxLength) {
    faults.push({ pointer, keyword: 'maxLength', message: `must not have more than ${maxLength} characters` })
  }
  if (pattern !== undefined && !new RegExp(pattern, 'u').test(value)) {
    faults.push({ pointer, keyword: 'pattern', message: `must match pattern "${pattern}"` })
  }
  return faults
}

function judgeList (
  { items = {}, minItems = 0, maxItems = Infinity }: Keywords,
  value: readonly unknown[],
  pointer: string
): readonly SchemaFault[] {
  if (value.length < minItems) {
    return [{ pointer, keyword: 'minItems', message: `must not have fewer than ${minItems} items` }]
  }
  if (value.length > maxItems) {
    return [{ pointer, keyword: 'maxItems', message: `must not have more than ${maxItems} items` }]
  }
  return value.flatMap((item, index) => judge(items, item, `${pointer}/${index}`))
}

function judgeRecord (
  { properties = {}, patternProperties = {}, required = [], additionalProperties = true }: Keywords,
  value: object,
  pointer: string
): readonly SchemaFault[] {
  const faults: SchemaFault[] = []
  const missing = required.filter((name) => !Object.hasOwn(value, name))
  if (missing.length > 0) {
    faults.push({ pointer, keyword: 'required', message: `must have required properties ${missing.join(', ')}` })
  }
  const patterns = Object.entries(patternProperties)
  let isClosed = !additionalProperties
  for (const [name, item] of Object.entries(value)) {
    const at = `${pointer}/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`
    const schemas = patterns.filter(([pattern]) => new RegExp(pattern, 'u').test(name)).map(([, schema]) => schema)
    // By own names: `constructor` is no property that a schema has.
    const named = Object.hasOwn(properties, name) ? properties[name] : undefined
    if (named !== undefined) schemas.push(named)
    for (const schema of schemas) faults.push(...judge(schema, item, at))
    if (schemas.length > 0 || !isClosed) continue
    // Once, however many there are: a client may have sent thousands.
    isClosed = false
    faults.push({ pointer, keyword: 'additionalProperties', message: 'must not have additional properties' })
  }
  return faults
}
