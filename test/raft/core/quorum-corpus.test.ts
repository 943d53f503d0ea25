import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import type { NodeId } from '../../../src/raft/core/index.ts'
import { asNodeId } from '../../../src/raft/core/index.ts'
import type { QuorumConfig } from '../../../src/raft/core/quorum.ts'
import { quorumValue, voteResult } from '../../../src/raft/core/quorum.ts'
import { SimRandom } from '../../sim/random.ts'

const corpus = fileURLToPath(new URL('../../../../shared/corpora/quorum/', import.meta.url))

interface Case {
  readonly where: string
  readonly config: QuorumConfig
  readonly acked: ReadonlyMap<NodeId, number>
  readonly expected: number
}

function list (text: string | undefined): string[] {
  return text === undefined || text === 'zero'
    ? []
    : text
      .split(',')
      .map((part) => part.trim())
      .filter((part) => part !== '')
}

/** The file's own rule: indexes are given for the voters of both halves in order of id, each id once. */
function parseCase (where: string, command: string, answer: string): Case {
  const argument = (name: string): string | undefined =>
    new RegExp(`\\b${name}=(?:\\(([^)]*)\\)|(\\w+))`)
      .exec(command)
      ?.slice(1)
      .find((part) => part !== undefined)
  const voters = list(argument('cfg')).map(asNodeId)
  const outgoing = list(argument('cfgj')).map(asNodeId)
  const ids = [...new Set([...voters, ...outgoing])].sort((left, right) => Number(left) - Number(right))
  const acked = new Map<NodeId, number>()
  list(argument('idx')).forEach((index, position) => {
    const id = ids[position]
    if (id === undefined) throw new Error(`${where}: more indexes than voters`)
    if (index !== '_') acked.set(id, Number(index))
  })
  return { where, config: { voters, outgoing }, acked, expected: answer === '∞' ? Infinity : Number(answer) }
}

function parseFile (name: string): Case[] {
  const lines = readFileSync(corpus + name, 'utf8').split('\n')
  const cases: Case[] = []
  lines.forEach((line, position) => {
    if (!/^committed\b/.test(line)) return
    let end = position
    while ((lines[end + 1] ?? '').trim() !== '') end++
    cases.push(parseCase(`${name}:${position + 1}`, line, (lines[end] ?? '').replace(/^<.*>/, '').trim()))
  })
  return cases
}

const isPresent = existsSync(corpus)
if (!isPresent) console.warn(`quorum corpus skipped: ${corpus} is not there`)

describe.skipIf(!isPresent)('quorum arithmetic of etcd', () => {
  it('agrees with every committed case', () => {
    const cases = isPresent ? readdirSync(corpus).filter((name) => name.endsWith('.txt')).flatMap(parseFile) : []
    const wrong = cases.filter(
      ({ config, acked, expected }) => quorumValue(config, (id) => acked.get(id) ?? 0) !== expected
    )
    console.log(`quorum corpus: ${cases.length} cases, ${cases.length - wrong.length} agree`)
    expect(wrong).toEqual([])
    expect(cases.length).toBeGreaterThan(0)
  })
})

const names = ['a', 'b', 'c', 'd', 'e', 'f', 'g'].map(asNodeId)
function someOf (random: SimRandom, atLeast: number): NodeId[] {
  return random.shuffled(names).slice(0, random.between(atLeast, names.length))
}
function isMajority (voters: readonly NodeId[], holds: (id: NodeId) => boolean): boolean {
  return voters.length === 0 || voters.filter(holds).length * 2 > voters.length
}

describe('A9 quorum arithmetic equals brute force', () => {
  it('with five voters and every combination of acks', () => {
    const voters = names.slice(0, 5)
    for (let code = 0; code < 4 ** 5; code++) {
      const acked = new Map(voters.map((id, position) => [id, Math.floor(code / 4 ** position) % 4]))
      const expected = [3, 2, 1, 0].find((index) => voters.filter((id) => (acked.get(id) ?? 0) >= index).length >= 3)
      expect(quorumValue({ voters, outgoing: [] }, (id) => acked.get(id) ?? 0)).toBe(expected)
    }
  })

  it('with random simple and joint configurations', () => {
    const random = new SimRandom(9)
    for (let run = 0; run < 20_000; run++) {
      const config = { voters: someOf(random, 1), outgoing: random.chance(0.5) ? [] : someOf(random, 1) }
      const acked = new Map(names.map((id) => [id, random.between(0, 5)]))
      const holdsQuorum = (index: number): boolean =>
        [config.voters, config.outgoing].every((voters) => isMajority(voters, (id) => (acked.get(id) ?? 0) >= index))
      expect(quorumValue(config, (id) => acked.get(id) ?? 0)).toBe([5, 4, 3, 2, 1, 0].find(holdsQuorum))
    }
  })

  it('for votes: won, lost and pending agree with every way in which the open votes can fall', () => {
    const random = new SimRandom(10)
    for (let run = 0; run < 20_000; run++) {
      const config = { voters: someOf(random, 1), outgoing: random.chance(0.5) ? [] : someOf(random, 1) }
      const votes = new Map<NodeId, boolean>()
      for (const id of names) if (random.chance(0.7)) votes.set(id, random.chance(0.5))
      const wins = (ofOpen: boolean): boolean =>
        [config.voters, config.outgoing].every((voters) => isMajority(voters, (id) => votes.get(id) ?? ofOpen))
      expect(voteResult(config, votes)).toBe(wins(false) ? 'won' : wins(true) ? 'pending' : 'lost')
    }
  })

  it('counts no voter twice, and no node that is no voter', () => {
    const [a, b, c, stranger] = names as [NodeId, NodeId, NodeId, NodeId]
    const config = { voters: [a, b, c], outgoing: [] }
    expect(voteResult(config, new Map([[a, true], [stranger, true]]))).toBe('pending')
  })
})
