import type { SimRandom } from '../sim/random.ts'
import { strangeText, wildJson, wildNumber } from './values.ts'

/** As much of a JSON schema as the routes use. */
export interface Schema {
  readonly type?: string
  readonly const?: unknown
  readonly anyOf?: readonly Schema[]
  readonly properties?: Readonly<Record<string, Schema>>
  readonly required?: readonly string[]
  readonly items?: Schema
  readonly minimum?: number
  readonly maximum?: number
  readonly minLength?: number
  readonly maxLength?: number
  readonly pattern?: string
}

/** Texts that mean something to a route: some of them fit each pattern. */
const meaningfulTexts = [
  'a', 'b', 'n1', 'n2', 'n9', 'local', 'lease', 'http://127.0.0.1:9', 'http://localhost:9', 'https://127.0.0.1:9/',
  'node', 'aaaaaaaaaaaaaaaa', '0123456789abcdef'
]

/** A value that fits a schema, or nearly does, as JSON text. */
export function schemaJson (random: SimRandom, schema: Schema, wildness: number): string {
  if (random.chance(wildness)) return random.chance(0.3) ? String(wildNumber(random)) : wildJson(random)
  if (schema.anyOf !== undefined) return schemaJson(random, random.pick(schema.anyOf), wildness)
  if ('const' in schema) return JSON.stringify(schema.const)
  switch (schema.type) {
    case 'object': return objectJson(random, schema, wildness)
    case 'array': return `[${schemaJson(random, schema.items ?? {}, wildness)}]`
    case 'integer':
    case 'number': {
      const { minimum = 0, maximum = 100 } = schema
      return String(random.pick([minimum, minimum + 1, maximum, 1, 2, random.between(0, 9)]))
    }
    case 'boolean': return random.pick(['true', 'false'])
    case 'string': return JSON.stringify(schemaText(random, schema))
    default: return random.pick(['null', '1', '"x"', '[1,{"a":null}]', '{"b":{"__proto__":1}}'])
  }
}

function objectJson (random: SimRandom, { properties = {}, required = [] }: Schema, wildness: number): string {
  const names = Object.keys(properties).filter((name) =>
    required.includes(name) ? !random.chance(wildness) : random.chance(0.5))
  const members = names.map((name) => `${JSON.stringify(name)}:${schemaJson(random, properties[name] ?? {}, wildness)}`)
  if (random.chance(wildness)) members.push(`${JSON.stringify(strangeText(random))}:${wildJson(random)}`)
  // Repeated, or with the member of every prototype.
  if (random.chance(wildness / 2)) {
    members.push(random.pick([members[0] ?? '"a":1', '"__proto__":{"x":1}', '"constructor":{"prototype":{"x":1}}']))
  }
  return `{${members.join(',')}}`
}

/** A text that fits, by trial. */
export function schemaText (random: SimRandom, { pattern = '', minLength = 0, maxLength = 1_000 }: Schema): string {
  const form = new RegExp(pattern)
  const fitting = meaningfulTexts.filter((text) =>
    form.test(text) && text.length >= minLength && text.length <= maxLength)
  return fitting.length === 0 ? 'a' : random.pick(fitting)
}

/** A query for a schema, as it stands behind the question mark. */
export function schemaQuery (random: SimRandom, schema: Schema, wildness: number): string {
  const names = Object.keys(schema.properties ?? {}).filter(() => random.chance(0.5))
  if (random.chance(wildness)) names.push(encodeURIComponent(wellFormed(strangeText(random))))
  if (random.chance(wildness)) names.push(...names)
  return names.map((name) => {
    const value = schema.properties?.[name]
    if (value === undefined || random.chance(wildness)) {
      const strange = encodeURIComponent(wellFormed(strangeText(random)))
      return `${name}=${random.pick(['%zz', '%00', '%ff', '1e9', '', 'x', strange])}`
    }
    const parsed: unknown = JSON.parse(schemaJson(random, value, 0))
    return `${name}=${encodeURIComponent(String(parsed))}`
  }).join('&')
}

/** Without halves of pairs: those cannot be percent-encoded. */
export function wellFormed (text: string): string {
  return Buffer.from(text, 'utf8').toString('utf8')
}
