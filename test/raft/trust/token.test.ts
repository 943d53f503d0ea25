import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { makeToken, readToken, readTokenDigest, tokenDigest } from '../../../src/raft/trust/token.ts'

describe('a token', () => {
  it('that is made here is new each time, and is read as its SHA-256 digest', () => {
    const made = Array.from({ length: 100 }, makeToken)
    expect(new Set(made).size).toBe(100)
    for (const token of made) {
      const digest = createHash('sha256').update(token).digest()
      expect(readToken(token)).toEqual({ kind: 'digest', digest })
      expect(readTokenDigest(digest.toString('hex').toUpperCase())).toEqual({ kind: 'digest', digest })
      expect(tokenDigest(token)).toEqual(digest)
    }
  })

  it.each([
    ['22 characters of base64url', 'aA0-bB1_cC2~dD3.eE4/fF', true],
    ['21 characters', 'aA0-bB1_cC2~dD3.eE4/f', false],
    ['32 hexadecimal digits', '0123456789abcdef0123456789ABCDEF', true],
    ['31 hexadecimal digits', '0123456789abcdef0123456789ABCDE', false],
    ['38 digits', '01234567890123456789012345678901234567', false],
    ['39 digits', '012345678901234567890123456789012345678', true],
    ['padding that holds nothing', 'aA0-bB1_cC2~dD3.eE4/f=====', false],
    ['seven different characters', 'abcdefgabcdefgabcdefgabcdefgABCDEF'.toLowerCase(), false],
    ['a space', 'aA0-bB1_cC2~dD3.eE4/ fF', false],
    ['a line feed', 'aA0-bB1_cC2~dD3.eE4/fF\n', false],
    ['letters that no field has', 'ÄÖÜaA0-bB1_cC2~dD3.eE4/fF', false],
    ['nothing', '', false],
    ['1,025 characters', 'aA0-bB1_'.repeat(128) + 'x', false]
  ])('of %s: %s is taken: %s', (_what, text, isTaken) => {
    const reading = readToken(text)
    expect(reading.kind).toBe(isTaken ? 'digest' : 'fault')
    if (reading.kind === 'fault' && text !== '') expect(reading.message).not.toContain(text)
  })

  it.each(['', 'ab', 'g'.repeat(64), 'a'.repeat(63), 'a'.repeat(65), ` ${'a'.repeat(63)}`])(
    'is not known by the digest %j',
    (text) => { expect(readTokenDigest(text)).toMatchObject({ kind: 'fault' }) }
  )
})
