import { describe, expect, it } from 'vitest'
import { admitsToken, assertToken } from '../../../src/plugin/primitives/fencing.ts'

describe('a resource that keeps the highest token', () => {
  it('lets in the same holder again and later ones, by number and not by text', () => {
    expect([null, '0', '9', '10'].map((kept) => admitsToken(kept, '10'))).toEqual([true, true, true, true])
    expect(['11', '100', '9007199254740991'].map((kept) => admitsToken(kept, '10'))).toEqual([false, false, false])
  })

  it('tells who comes too late from who shows no token', () => {
    expect(() => { assertToken('10', '9') }).toThrow(expect.objectContaining({ code: 'RAFT_FENCED', statusCode: 412 }))
    for (const odd of [undefined, null, 10, '', '0', '09', '-1', '1.0', '1e3', ' 1', '9007199254740993', ['10']]) {
      expect(() => { assertToken('1', odd) })
        .toThrow(expect.objectContaining({ code: 'RAFT_INVALID_REQUEST', statusCode: 400 }))
    }
  })

  it('lets nobody in when what it keeps is no number', () => {
    for (const odd of ['', '-1', 'x', '1.5', 'NaN']) expect(() => admitsToken(odd, '10')).toThrow(RangeError)
  })
})
