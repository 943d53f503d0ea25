import { randomBytes } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import type { Secret } from '../../../src/raft/trust/secret.ts'
import { makeSecret, readSecret } from '../../../src/raft/trust/secret.ts'

function secret (text: string): Secret {
  const reading = readSecret(text)
  if (reading.kind === 'fault') throw new Error(reading.message)
  return reading.secret
}

function faultOf (text: string): string {
  const reading = readSecret(text)
  return reading.kind === 'fault' ? reading.message : 'none'
}

describe('a secret', () => {
  it('is made of 32 random bytes, and read', () => {
    const texts = new Set(Array.from({ length: 50 }, makeSecret))
    expect(texts.size).toBe(50)
    for (const text of texts) expect(secret(text).fingerprint).toMatch(/^[0-9a-f]{12}$/)
  })

  it('is the same in hexadecimal, base64 and base64url, with white space around or not', () => {
    const bytes = randomBytes(33)
    const texts = [
      bytes.toString('hex'),
      bytes.toString('hex').toUpperCase(),
      bytes.toString('base64'),
      bytes.toString('base64url'),
      `\n ${bytes.toString('base64url')}\n`
    ]
    const fingerprints = texts.map((text) => secret(text).fingerprint)
    expect(new Set(fingerprints).size).toBe(1)
    const keys = texts.map((text) => secret(text).peerKey.export().toString('hex'))
    expect(new Set(keys).size).toBe(1)
    expect(keys[0]).not.toContain(bytes.toString('hex').slice(0, 12))
  })

  it.each([
    ['', 'must be random bytes in hexadecimal, base64 or base64url'],
    ['correct horse battery staple', 'must be random bytes in hexadecimal, base64 or base64url'],
    ['change-me', 'must be random bytes in hexadecimal, base64 or base64url'],
    ['changeme', 'must hold at least 32 random bytes, and holds 6'],
    [randomBytes(31).toString('base64url'), 'must hold at least 32 random bytes, and holds 31'],
    [randomBytes(31).toString('hex'), 'must hold at least 32 random bytes, and holds 31'],
    ['secret'.repeat(20), 'must be random, and repeats itself'],
    ['00'.repeat(32), 'must be random, and repeats itself']
  ])('refuses %j, and says how to make one', (text, rule) => {
    expect(faultOf(text)).toBe(`${rule}: make one with "fastify-raft secret"`)
  })

  it('does not repeat in a fault what was given', () => {
    const text = randomBytes(20).toString('hex')
    expect(faultOf(text)).not.toContain(text)
  })
})
