import TypeBox from 'typebox'
import Value from 'typebox/value'
import { describe, expect, it } from 'vitest'
import { fits, schemaFaults, Type, withNumbers } from '../../../src/gateway/internal.ts'
import { optionsSchema } from '../../../src/plugin/index.ts'

type Builder = typeof Type

/** One schema of each kind, with all keywords that ours use. */
function schemasOf (builder: Builder) {
  const text = builder.String({ minLength: 2, maxLength: 4, pattern: '^[a-z😀]+$' })
  return {
    text,
    flag: builder.Boolean({ default: false }),
    count: builder.Integer({ minimum: 1, maximum: 10, default: 5 }),
    nothing: builder.Null(),
    anything: builder.Unknown(),
    word: builder.Union([builder.Literal('local'), builder.Literal('lease')], { default: 'local' }),
    textOrList: builder.Union([text, builder.Array(text, { minItems: 1, maxItems: 2 })]),
    record: builder.Record(builder.String(), builder.String({ maxLength: 3 })),
    unsafe: builder.Unsafe<'x'>(builder.String({ pattern: '^x$' })),
    open: builder.Object({ a: builder.Integer(), b: builder.Optional(text) }),
    closed: builder.Object(
      { a: builder.Optional(builder.Object({ b: builder.Null() }, { additionalProperties: false })) },
      { additionalProperties: false }
    )
  }
}

const ours = schemasOf(Type)
const theirs = schemasOf(TypeBox)
const names = Object.keys(ours) as ReadonlyArray<keyof typeof ours>

const values: readonly unknown[] = [
  undefined, null, true, false, 0, 1, 5, 10, 11, 1.5, -1, NaN, Infinity, '5', '', 'a', 'ab', 'abcd', 'abcde', 'aB', 'x',
  '😀', '😀😀', '😀😀😀😀', '😀😀😀😀😀', 'local', 'lease', 'else', [], ['ab'], ['ab', 'a'], ['ab', 'ab', 'ab'], [1], {},
  { a: 1 }, { a: '1' }, { a: 1, b: 'ab' }, { a: 1, b: 'a' }, { a: 1, c: 2 }, { a: {} }, { a: { b: null } },
  { a: { b: null, c: 1 } }, { a: 'abc' }, { a: 'abcd' }, { b: 'ab' }, JSON.parse('{"__proto__":1}'),
  JSON.parse('{"constructor":"abcd"}'), JSON.parse('{"a":1,"toString":1}'), Object.create(null)
]

describe('schemas', () => {
  it.each(names)('are those of TypeBox: %s', (name) => {
    expect(Object.getOwnPropertyDescriptors(ours[name])).toEqual(Object.getOwnPropertyDescriptors(theirs[name]))
  })

  it('can be taken apart by TypeBox', () => {
    expect(TypeBox.IsObject(optionsSchema)).toBe(true)
    expect(TypeBox.IsOptional(optionsSchema.properties.forward)).toBe(true)
  })

  it.each(names)('are judged as TypeBox does it: %s', (name) => {
    for (const value of values) {
      expect([value, fits(ours[name], value)]).toEqual([value, Value.Check(theirs[name], value)])
    }
  })

  it.each([
    ['a wrong type', ours.count, '5', ['', 'must be integer']],
    ['a wrong word', ours.word, 'else', ['', 'must be "local" or "lease"']],
    ['neither of two types', ours.textOrList, 1, ['', 'must be string or array']],
    ['the alternative that was meant', ours.textOrList, ['ab', 'a'], ['/1', 'must not have fewer than 2 characters']],
    ['a missing property', ours.open, {}, ['', 'must have required properties a']],
    ['a place', ours.closed, { a: { b: 1 } }, ['/a/b', 'must be null']],
    ['a place with marks', ours.record, { 'a/b~c': 1 }, ['/a~1b~0c', 'must be string']],
    ['many that are too many', ours.closed, { b: 1, c: 1 }, ['', 'must not have additional properties']]
  ] as const)('say of %s what is wrong, once', (_, schema, value, [pointer, message]) => {
    expect(schemaFaults(schema, value)).toEqual([expect.objectContaining({ pointer, message })])
  })

  it('say everything that is wrong', () => {
    expect(schemaFaults(ours.open, { b: 'A' }).map(({ keyword }) => keyword)).toEqual(['required', 'minLength', 'pattern'])
  })
})

describe('a query', () => {
  const schema = Type.Object({ limit: Type.Integer(), text: Type.String() })

  it('has its digits read where a whole number is asked for', () => {
    expect(withNumbers(schema, { limit: '12', text: '12', other: '12' })).toEqual({ limit: 12, text: '12', other: '12' })
  })

  it.each(['', ' 1', '1.5', '1e3', '0x1', 'true', '+1'])('keeps %j as text, which no schema takes for a number', (limit) => {
    expect(fits(schema, withNumbers(schema, { limit, text: '' }))).toBe(false)
  })
})
