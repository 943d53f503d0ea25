import type TypeBox from 'typebox'
import type { TSchema } from 'typebox'

type Builders = Pick<
  typeof TypeBox,
  | 'Array' | 'Boolean' | 'Integer' | 'Literal' | 'Null' | 'Object' | 'Optional' | 'Record' | 'String' | 'Union'
  | 'Unknown' | 'Unsafe'
>

/**
 * What our schemas are built with: the functions of TypeBox that they need, which make the same schemas with the same
 * types. TypeBox itself is not loaded, for it would take as much memory as the rest of a node.
 */
export const Type: Builders = {
  Array: (items, options) => create('Array', { type: 'array', items }, options),
  Boolean: (options) => create('Boolean', { type: 'boolean' }, options),
  Integer: (options) => create('Integer', { type: 'integer' }, options),
  Literal: (value, options) => create('Literal', { type: typeof value, const: value }, options),
  Null: (options) => create('Null', { type: 'null' }, options),
  Object: (properties, options) => create('Object', { type: 'object', ...requiredOf(properties), properties }, options),
  Optional: (schema) => hide(copyOf(schema), '~optional', true),
  Record: (_names, values, options) =>
    create('Record', { type: 'object', patternProperties: { '^.*$': values } }, options),
  String: (options) => create('String', { type: 'string' }, options),
  Union: (anyOf, options) => create('Union', { anyOf }, options),
  Unknown: (options) => create('Unknown', {}, options),
  Unsafe: (schema) => hide(copyOf(schema), '~unsafe', null)
}

function create<Schema> (kind: string, keywords: object, options: object = {}): Schema {
  return hide({ ...keywords, ...options }, '~kind', kind)
}

/** TypeBox keeps what is no keyword of JSON Schema in properties that no enumeration shows. */
function hide<Schema> (schema: object, name: string, value: unknown): Schema {
  return Object.defineProperty(schema, name, { configurable: true, writable: true, enumerable: false, value }) as Schema
}

/** With what is hidden. */
function copyOf (schema: object): object {
  return Object.defineProperties({}, Object.getOwnPropertyDescriptors(schema))
}

function requiredOf (properties: Readonly<Record<string, TSchema>>): { readonly required?: readonly string[] } {
  const required = Object.entries(properties).filter(([, schema]) => !('~optional' in schema)).map(([name]) => name)
  return required.length > 0 ? { required } : {}
}
