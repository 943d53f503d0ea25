import { describe, expect, it } from 'vitest'
import { parseIdempotencyKey } from '../../../src/plugin/routes/idempotency-key.ts'

describe('the field Idempotency-Key', () => {
  it.each([
    ['"8e03978e-40d5-43e8-bc93-6894a57f9324"', '8e03978e-40d5-43e8-bc93-6894a57f9324'],
    ['8e03978e-40d5-43e8-bc93-6894a57f9324', '8e03978e-40d5-43e8-bc93-6894a57f9324'],
    [' "a b" ', 'a b'],
    ['"a\\"b\\\\c"', 'a"b\\c'],
    ['"a";v=1;w="x y"', 'a'],
    ['"a,b"', 'a,b'],
    ['c1:12/ä'.replace('ä', 'a'), 'c1:12/a'],
    ['a\\b', 'a\\b'],
    ['k'.repeat(200), 'k'.repeat(200)],
    [`"${'\\"'.repeat(200)}"`, '"'.repeat(200)]
  ])('%s is the key %s', (field, key) => {
    expect(parseIdempotencyKey(field)).toBe(key)
  })

  it.each([
    '', '""', '"', '"a', 'a"', '"a"b', '"a", "b"', 'a, b', 'a b', 'a;b', 'é', '"é"', '"a\\b"', '"a\tb"', ':YQ==:;',
    'k'.repeat(201), `"${'k'.repeat(201)}"`
  ])('%j is refused', (field) => {
    expect(() => parseIdempotencyKey(field)).toThrow(expect.objectContaining({ code: 'RAFT_INVALID_REQUEST' }))
  })

  it('of which there are two is refused', () => {
    expect(() => parseIdempotencyKey(['a', 'b'])).toThrow(expect.objectContaining({ code: 'RAFT_INVALID_REQUEST' }))
  })
})
