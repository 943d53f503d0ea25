import { createSecretKey, randomBytes } from 'node:crypto'
import { describe, expect, it, onTestFinished } from 'vitest'
import { asNodeId } from '../../../src/raft/core/index.ts'
import { HopKeys } from '../../../src/raft/membership/hop-keys.ts'
import { EngineCluster } from '../../support/engine-cluster.ts'
import { until } from '../../support/until.ts'

describe('hop keys', () => {
  it('are drawn anew by each node, and learnt from what it tells', () => {
    const n1 = new HopKeys(asNodeId('n1'))
    const n2 = new HopKeys(asNodeId('n2'))
    expect(n1.own.equals(n2.own)).toBe(false)
    expect(n1.of('n1')?.equals(createSecretKey(n1.own))).toBe(true)
    expect(n1.of('n2')).toBeNull()
    n1.learn(asNodeId('n2'), n2.own)
    expect(n1.of('n2')?.equals(createSecretKey(n2.own))).toBe(true)
    const anew = randomBytes(32)
    const told = Buffer.from(anew)
    n1.learn(asNodeId('n2'), told)
    // The bytes are those of a request's body, which others use after it.
    told.fill(0)
    expect(n1.of('n2')?.equals(createSecretKey(anew))).toBe(true)
  })

  it('of another length are no keys, and nobody can tell a node its own', () => {
    const n1 = new HopKeys(asNodeId('n1'))
    for (const length of [0, 1, 31, 33]) n1.learn(asNodeId('n2'), randomBytes(length))
    expect(n1.of('n2')).toBeNull()
    n1.learn(asNodeId('n1'), randomBytes(32))
    expect(n1.of('n1')?.equals(createSecretKey(n1.own))).toBe(true)
  })

  it('are kept for so many peers, the latest ones', () => {
    const n1 = new HopKeys(asNodeId('n1'))
    for (let number = 0; number < 300; number++) n1.learn(asNodeId(`x${number}`), randomBytes(32))
    const known = Array.from({ length: 300 }, (_, number) => n1.of(`x${number}`) !== null)
    expect([known.filter((isKnown) => isKnown).length, known[0], known[299]]).toEqual([256, false, true])
  })

  it('of a leader are known to everybody who follows it', async () => {
    const cluster = new EngineCluster()
    onTestFinished(async () => { await cluster.close() })
    await cluster.start(3)
    const leader = await until('a leader', () => cluster.leaders[0])
    const key = leader.engine.hopKey(leader.id)
    if (key === null) throw new Error('every node has one')
    for (const { engine } of cluster.nodes.values()) {
      await until('it follows', () => engine.leader()?.id === leader.id)
      expect(engine.hopKey(leader.id)?.equals(key)).toBe(true)
    }
  })
})
