import { Writable } from 'node:stream'
import Fastify from 'fastify'
import { describe, expect, it, onTestFinished } from 'vitest'
import { freePorts } from '../../../src/cli/local/ports.ts'
import { cluster } from '../../../src/plugin/index.ts'
import { until } from '../../support/until.ts'
import type { Node } from '../support/cluster-of-three.ts'
import { agreedLeader, clusterOfThree, startNode, wholeMembership } from '../support/cluster-of-three.ts'

async function three (more: object = {}): Promise<Node[]> {
  const nodes = await clusterOfThree(async (app, options) => { await app.register(cluster, { ...options, ...more }) })
  await wholeMembership(nodes)
  return nodes
}

/** The ids of the members as a node knows them, once it takes them for settled. */
async function settledIds (seenBy: Node, ids: readonly string[]): Promise<void> {
  await until(`${seenBy.id} knows that ${ids.join()} are the members`, () => {
    const { members, isSettled } = seenBy.app.cluster.membership
    return isSettled && members.map(({ id }) => id).sort().join() === [...ids].sort().join()
  })
}

function without (nodes: readonly Node[], ...gone: readonly Node[]): readonly Node[] {
  return nodes.filter((node) => !gone.includes(node))
}

function idsOf (nodes: readonly Node[]): readonly string[] {
  return nodes.map(({ id }) => id)
}

describe('a node that leaves', () => {
  it('hands leadership over, is removed and stops, one after the other down to the last voter, which cannot', async () => {
    const nodes = await three()
    let left: readonly Node[] = nodes
    for (let round = 0; round < 2; round++) {
      const leader = await agreedLeader(left)
      const others = without(left, leader)
      const terms = [leader.app.cluster.term]
      const removedBy: string[] = []
      for (const { id, app } of others) {
        app.cluster.on('membershipChanged', ({ members }) => {
          if (app.cluster.isLeader && members.every((member) => member.id !== leader.id)) removedBy.push(id)
        })
      }
      await leader.app.cluster.map('m').set('round', round)
      await leader.app.cluster.leave()
      await expect(leader.app.cluster.map('m').set('round', -1)).rejects.toMatchObject({ code: 'RAFT_STOPPED' })
      await expect(leader.app.cluster.leave()).resolves.toBeUndefined()
      left = others
      for (const node of left) await settledIds(node, idsOf(left))
      const next = await agreedLeader(left)
      expect(next.app.cluster.term).toBeGreaterThan(terms[0] ?? 0)
      // The next leader has made the change, not the one that left.
      expect(removedBy).toContain(next.id)
      expect(await next.app.cluster.map('m').get('round')).toMatchObject({ value: round })
    }
    const [last] = left
    if (last === undefined) throw new Error('one is left')
    await expect(last.app.cluster.leave()).rejects.toMatchObject({
      code: 'RAFT_QUORUM_AT_RISK',
      message: expect.stringContaining('is the last voter and cannot leave') as string
    })
    await last.app.cluster.map('m').set('round', 'still here')
  })

  it('goes on as a member when nobody can remove it, and says so in time with a code', async () => {
    const nodes = await three()
    const leader = await agreedLeader(nodes)
    const [gone, also] = without(nodes, leader)
    if (gone === undefined || also === undefined) throw new Error('three nodes')
    await Promise.all([gone.app.close(), also.app.close()])
    const startedMs = performance.now()
    await expect(leader.app.cluster.leave({ timeoutMs: 1_000 })).rejects.toMatchObject({
      code: expect.stringMatching(/^RAFT_(OUTCOME_UNKNOWN|NO_LEADER|QUORUM_AT_RISK)$/) as string
    })
    // The hand-over comes first, and takes an election timeout at most.
    expect(performance.now() - startedMs).toBeLessThan(10_000)
    expect(leader.app.cluster.status).toMatchObject({ failure: null, membershipVersion: expect.any(Number) as number })
    await expect(leader.app.cluster.leave({ signal: AbortSignal.abort(new Error('mine')) })).rejects.toThrow('mine')
    await expect(leader.app.cluster.leave({ timeoutMs: -1 })).rejects.toMatchObject({ code: 'RAFT_INVALID_OPTIONS' })
  })

  it('may be a learner, or not be a member at all', async () => {
    const nodes = await three()
    const leader = await agreedLeader(nodes)
    const [demoted] = without(nodes, leader)
    if (demoted === undefined) throw new Error('three nodes')
    await until('it is demoted', () => leader.app.cluster.demoteMember(demoted.id))
    await demoted.app.cluster.leave()
    for (const node of without(nodes, demoted)) await settledIds(node, idsOf(without(nodes, demoted)))
    const [port, nowhere] = await freePorts(2)
    const url = `http://127.0.0.1:${port}`
    const joiner = await startNode({ id: 'n9', url, join: [`http://127.0.0.1:${nowhere}`] }, url)
    await expect(joiner.app.cluster.leave()).resolves.toBeUndefined()
  })

  it('leaves when the application closes, with leaveOnClose; the last voter stays what it is and closes', async () => {
    const nodes = await three({ leaveOnClose: true })
    let left: readonly Node[] = nodes
    while (left.length > 1) {
      const leader = await agreedLeader(left)
      await leader.app.close()
      left = without(left, leader)
      for (const node of left) await settledIds(node, idsOf(left))
    }
    const startedMs = performance.now()
    await left[0]?.app.close()
    expect(performance.now() - startedMs).toBeLessThan(10_000)
  })

  it('closes all the same, with leaveOnClose, when nobody can remove it, and logs the code', async () => {
    const [port, ...others] = await freePorts(3)
    const members = [port, ...others].map((at, index) => ({ id: `n${index + 1}`, url: `http://127.0.0.1:${at}` }))
    const lines: string[] = []
    const stream = new Writable({
      write (chunk: Buffer, _encoding, done) {
        lines.push(chunk.toString())
        done()
      }
    })
    const app = Fastify({ logger: { level: 'error', stream } })
    onTestFinished(async () => { await app.close() })
    await app.register(cluster, { id: 'n1', members, leaveOnClose: true })
    await app.listen({ port: port ?? 0, host: '127.0.0.1' })
    const startedMs = performance.now()
    await app.close()
    expect(performance.now() - startedMs).toBeLessThan(20_000)
    expect(lines.join()).toContain('this node closes and is still a member')
    expect(lines.join()).toMatch(/RAFT_(NO_LEADER|OUTCOME_UNKNOWN)/)
  })
})
