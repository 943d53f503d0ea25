import { describe, expect, it } from 'vitest'
import { Shares } from '../../../src/raft/transport/shares.ts'

describe('shares', () => {
  it('leave room for others when one holder has all that it may have', () => {
    const shares = new Shares({ total: 10, each: 6 })
    expect(shares.take('a', 6)).toBe(true)
    expect(shares.take('a', 1)).toBe(false)
    expect(shares.take('b', 4)).toBe(true)
    expect(shares.taken).toBe(10)
  })

  it('end where all holders together have everything', () => {
    const shares = new Shares({ total: 10, each: 6 })
    expect(shares.take('a', 5)).toBe(true)
    expect(shares.take('b', 6)).toBe(false)
    expect(shares.take('b', 5)).toBe(true)
    expect(shares.take('c', 1)).toBe(false)
  })

  it('come back, to the holder and to all', () => {
    const shares = new Shares({ total: 10, each: 6 })
    shares.take('a', 6)
    shares.give('a', 4)
    expect(shares.taken).toBe(2)
    expect(shares.take('a', 5)).toBe(false)
    shares.give('a', 2)
    expect(shares.take('a', 6)).toBe(true)
    expect(shares.taken).toBe(6)
  })
})
