import { describe, expect, it } from 'vitest'
import { ConfigurationHistory } from '../../../src/raft/core/configuration-history.ts'
import type { Configuration } from '../../../src/raft/core/index.ts'
import { asIndex, asNodeId, asTerm } from '../../../src/raft/core/index.ts'

const n4 = asNodeId('n4')

function withMember (incarnation: string): Configuration {
  const members = [
    { id: asNodeId('n1'), address: 'http://n1', incarnation: 'a1' },
    { id: n4, address: 'http://n4', incarnation }
  ]
  return { members, voters: [asNodeId('n1')], outgoing: [], learners: [n4] }
}

describe('the configurations of a log', () => {
  it('tell a member from an earlier one of its name, and count as far as they are committed', () => {
    const history = new ConfigurationHistory({ index: 0, configuration: withMember('c3') }, [
      { kind: 'configuration', index: asIndex(2), term: asTerm(1), timeMs: 1, configuration: withMember('a4') },
      { kind: 'configuration', index: asIndex(5), term: asTerm(1), timeMs: 1, configuration: withMember('b4') }
    ])
    expect(history.hadMember(n4, 'a4', 4)).toBe(true)
    expect(history.hadMember(n4, 'b4', 4)).toBe(false)
    expect(history.hadMember(n4, 'b4', 5)).toBe(true)
    // That of the options is no entry.
    expect(history.hadMember(n4, 'c3', 5)).toBe(false)
  })
})
