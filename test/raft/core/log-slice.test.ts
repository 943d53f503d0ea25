import { describe, expect, it } from 'vitest'
import type { Entry } from '../../../src/raft/core/index.ts'
import { asIndex, asTerm } from '../../../src/raft/core/index.ts'
import { RaftLog } from '../../../src/raft/core/log.ts'

const wholeLog = { index: asIndex(0), term: asTerm(0), timeMs: 0 }

function entry (index: number, term = 1): Entry {
  return { kind: 'noop', index: asIndex(index), term: asTerm(term), timeMs: 0 }
}

function logOf (length: number): RaftLog {
  return new RaftLog(wholeLog, Array.from({ length }, (_, at) => entry(at + 1)), asIndex(0))
}

describe('a slice of the log', () => {
  it('is one object for all followers that keep up: it is encoded once', () => {
    const log = logOf(9)
    expect(log.slice(asIndex(4), 100, 100)).toBe(log.slice(asIndex(4), 100, 100))
    expect(log.slice(asIndex(4), 2, 100)).toEqual([entry(4), entry(5)])
    expect(log.slice(asIndex(5), 2, 100)).toEqual([entry(5), entry(6)])
  })

  it('has what was appended since', () => {
    const log = logOf(3)
    expect(log.slice(asIndex(3), 100, 100)).toEqual([entry(3)])
    log.append(entry(4))
    expect(log.slice(asIndex(3), 100, 100)).toEqual([entry(3), entry(4)])
  })

  it('has what has replaced the entries of before, when there are as many', () => {
    const log = logOf(4)
    log.slice(asIndex(3), 100, 100)
    log.merge([entry(3, 2), entry(4, 2)])
    expect(log.slice(asIndex(3), 100, 100)).toEqual([entry(3, 2), entry(4, 2)])
  })

  it('is not that of the log before a snapshot that ends at the same index', () => {
    const log = logOf(4)
    log.slice(asIndex(4), 100, 100)
    log.restart({ index: asIndex(3), term: asTerm(2), timeMs: 0 })
    log.append(entry(4, 2))
    expect(log.slice(asIndex(4), 100, 100)).toEqual([entry(4, 2)])
  })
})
