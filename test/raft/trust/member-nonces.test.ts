import { randomBytes } from 'node:crypto'
import { describe, expect, it, onTestFinished } from 'vitest'
import { MemberNonces } from '../../../src/raft/trust/member-nonces.ts'
import { EngineCluster } from '../../support/engine-cluster.ts'
import { until } from '../../support/until.ts'

describe('the nonces of members', () => {
  it('are drawn anew by each node, and learnt from what it tells', () => {
    const [n1, n2] = [new MemberNonces('n1'), new MemberNonces('n2')]
    expect(n1.own.equals(n2.own)).toBe(false)
    expect(n1.of('n1')).toBe(n1.own)
    expect(n1.of('n2')).toBeNull()
    n1.learn('n2', n2.ownBytes)
    expect(n1.of('n2')?.equals(n2.own)).toBe(true)
    const anew = randomBytes(32)
    const told = Buffer.from(anew)
    n1.learn('n2', told)
    // The bytes are those of a request's body, which others use after it.
    told.fill(0)
    expect(n1.of('n2')?.bytes.equals(anew)).toBe(true)
  })

  it('of another length are none, and nobody can tell a node its own', () => {
    const n1 = new MemberNonces('n1')
    for (const length of [0, 1, 31, 33]) n1.learn('n2', randomBytes(length))
    expect(n1.of('n2')).toBeNull()
    const { own } = n1
    n1.learn('n1', randomBytes(32))
    expect(n1.of('n1')).toBe(own)
    n1.drawAnew()
    expect(n1.own.equals(own)).toBe(false)
  })

  it('are kept for so many peers, the latest ones', () => {
    const n1 = new MemberNonces('n1')
    for (let number = 0; number < 300; number++) n1.learn(`x${number}`, randomBytes(32))
    const known = Array.from({ length: 300 }, (_, number) => n1.of(`x${number}`) !== null)
    expect([known.filter((isKnown) => isKnown).length, known[0], known[299]]).toEqual([256, false, true])
  })

  it('of a leader are known to everybody who follows it, and the next one too', async () => {
    const cluster = new EngineCluster()
    onTestFinished(async () => { await cluster.close() })
    await cluster.start(3)
    const leader = await until('a leader', () => cluster.leaders[0])
    for (let round = 0; round < 2; round++) {
      for (const { nonces } of cluster.nodes.values()) {
        await until('it has heard', () => nonces.of(leader.id)?.equals(leader.nonces.own) === true)
      }
      leader.nonces.drawAnew()
    }
  })
})
