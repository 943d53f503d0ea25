import { createHmac, createSecretKey, randomBytes } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { isSameMacText, macOfText } from '../../../src/raft/trust/text-mac.ts'

describe('the MAC of a text', () => {
  const lengths = [54, 55, 56, 63, 64, 65, 1_365, 1_366, 10_000]
  const texts = ['', 'a', 'request\nGET /\n', 'ä€𝄞\u00ff', ...lengths.map((length) => 'x'.repeat(length))]

  it.each([1, 32, 63, 64, 65, 200])('is that of node:crypto, with a key of %i bytes', (keyBytes) => {
    const key = createSecretKey(randomBytes(keyBytes))
    // Longer and shorter ones in turn: nothing is left from the one before.
    for (const text of [...texts, ...texts.toReversed()]) {
      expect(macOfText(key, text)).toBe(createHmac('sha256', key).update(text).digest('base64url'))
    }
  })

  it('is compared as a whole', () => {
    const mac = macOfText(createSecretKey(randomBytes(32)), 'a')
    expect(isSameMacText(mac, mac)).toBe(true)
    for (let at = 0; at < mac.length; at++) {
      const other = `${mac.slice(0, at)}${mac[at] === 'A' ? 'B' : 'A'}${mac.slice(at + 1)}`
      expect(isSameMacText(mac, other)).toBe(false)
    }
    // What Latin-1 would make the same characters of.
    const wide = String.fromCharCode(mac.charCodeAt(0) + 256) + mac.slice(1)
    expect([wide, '', mac.slice(1), `${mac}A`].map((given) => isSameMacText(mac, given))).toEqual([false, false, false, false])
  })
})
