import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { freePorts } from '../../../src/cli/local/ports.ts'
import type { ClusterMachine, ClusterOptions, MachineDefinition } from '../../../src/plugin/index.ts'
import { cluster } from '../../../src/plugin/index.ts'
import { until } from '../../support/until.ts'
import type { Node } from '../support/cluster-of-three.ts'
import { agreedLeader, clusterOfThree, startNode } from '../support/cluster-of-three.ts'

interface Total { readonly total: number }
type Counter = MachineDefinition<Total, number, number>

function counter (version = 1): Counter {
  return {
    version,
    initial: () => ({ total: 0 }),
    apply: ({ total }, add) => ({ state: { total: total + add }, answer: total + add })
  }
}

/** Three nodes with a counter each; `define` says which one a node has. */
async function start (
  define: (id: string) => Counter,
  more: (id: string) => Promise<ClusterOptions> = async () => ({})
) {
  const machines = new Map<string, ClusterMachine<Total, number, number>>()
  const options = new Map<string, ClusterOptions>()
  const nodes = await clusterOfThree(async (app, given) => {
    const id = String(given.id)
    const own = { ...given, ...(await more(id)) }
    options.set(id, own)
    await app.register(cluster, own)
    machines.set(id, app.cluster.machine('counter', define(id)))
  })
  return {
    nodes,
    machines,
    options,
    machine: (node: { readonly id: string }) => machines.get(node.id) as ClusterMachine<Total, number, number>
  }
}

function followersOf (nodes: readonly Node[], leader: Node): readonly [Node, Node] {
  const [first, second] = nodes.filter((node) => node !== leader)
  if (first === undefined || second === undefined) throw new Error('there are two followers')
  return [first, second]
}

async function statusOf (
  node: Node
): Promise<{ readonly nodeId: string; readonly failure: string | null; readonly appliedIndex: number }> {
  return (await (await fetch(`${node.url}/_cluster/v1/status`)).json()) as {
    readonly nodeId: string
    readonly failure: string | null
    readonly appliedIndex: number
  }
}

async function directory (): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'fastify-raft-machines-'))
  onTestFinished(async () => { await rm(path, { recursive: true, force: true }) })
  return path
}

describe('a state machine on three nodes', () => {
  it('that diverges on one of them stops that one, which says so with the index and its id; the others go on', async () => {
    let culprit = ''
    const { nodes, machine } = await start(
      (id) => ({
        ...counter(),
        apply: ({ total }, add) => ({
          state: { total: total + add + (id === culprit ? Math.random() : 0) },
          answer: total + add
        })
      }),
      async () => ({ debugHashes: true })
    )
    const leader = await agreedLeader(nodes)
    const [bad, good] = followersOf(nodes, leader)
    culprit = bad.id
    for (let proposed = 0; proposed < 1_100; proposed += 100) {
      await Promise.all(Array.from({ length: 100 }, () => machine(leader).propose(1)))
    }
    await until('it has stopped', async () => {
      // Whoever differs finds out with the first entry behind the leader's hash.
      await machine(leader).propose(1)
      return (await statusOf(bad)).failure
    })
    const { nodeId, failure } = await statusOf(bad)
    expect([nodeId, failure]).toEqual([
      bad.id,
      expect.stringMatching(
        /The state of this node is not that of the leader after the entry at index 1000: its hash is \w+ here and \w+ there.*RAFT_STATE_DIVERGED/
      )
    ])
    expect((await fetch(`${bad.url}/_cluster/v1/livez`)).status).toBe(503)
    const total = await machine(good).propose(1)
    expect(await machine(leader).read((state) => state.total)).toBe(total)
    expect([leader, good].map(({ app }) => app.cluster.status.failure)).toEqual([null, null])
  }, 30_000)

  it('whose apply throws on one of them stops that one, with the index and the error; the others go on', async () => {
    let culprit = ''
    const { nodes, machine } = await start((id) => ({
      ...counter(),
      apply: (state, add, context) => {
        if (id === culprit) throw new Error('out of paper')
        return counter().apply(state, add, context)
      }
    }))
    const leader = await agreedLeader(nodes)
    const [bad, good] = followersOf(nodes, leader)
    expect(await machine(bad).propose(1)).toBe(1)
    culprit = bad.id
    await machine(leader).propose(1)
    await until('it has stopped', async () => (await statusOf(bad)).failure)
    const stopped = await statusOf(bad)
    expect(stopped.failure).toBe(
      `The state machine failed to apply the entry at index ${stopped.appliedIndex + 1}: "counter" failed at index ${stopped.appliedIndex + 1}: out of paper`
    )
    await expect(machine(bad).read((state) => state.total)).rejects.toMatchObject({ code: 'RAFT_STOPPED' })
    expect(await machine(good).propose(1)).toBe(3)
    expect(await machine(leader).read((state) => state.total)).toBe(3)
  }, 30_000)

  it('whose apply throws on all of them stops all at the same index: none goes on with another state', async () => {
    const { nodes, machine } = await start(() => ({
      ...counter(),
      apply: (state, add, context) => {
        if (add < 0) throw new Error('out of paper')
        return counter().apply(state, add, context)
      }
    }))
    const leader = await agreedLeader(nodes)
    expect(await machine(leader).propose(1)).toBe(1)
    await expect(machine(leader).propose(-1)).rejects.toMatchObject({
      code: expect.stringMatching(/^RAFT_(OUTCOME_UNKNOWN|STOPPED)$/) as string
    })
    // Those who had not heard yet that it is committed do so from the next leader.
    await until(
      'all have stopped',
      async () => (await Promise.all(nodes.map(statusOf))).filter(({ failure }) => failure !== null).length >= 2
    )
    const failures = (await Promise.all(nodes.map(statusOf))).flatMap(({ failure }) => failure ?? [])
    expect(new Set(failures)).toHaveLength(1)
    expect(failures[0]).toMatch(/at index \d+: out of paper/)
  }, 30_000)

  it('whose snapshot throws stops no node, shows on each, and starts again; once it is mended, it is taken', async () => {
    const dataDir = await directory()
    let isBroken = true
    const broken = (): MachineDefinition<Total, number, number> => ({
      ...counter(),
      snapshot: (state) => {
        if (isBroken) throw new Error('no paper')
        return [state]
      },
      restore: async (values) => (await values[Symbol.asyncIterator]().next()).value as Total
    })
    const { nodes, machine, options } = await start(
      broken,
      async (id) => ({ snapshots: { everyEntries: 20 }, dataDir: join(dataDir, id) })
    )
    const leader = await agreedLeader(nodes)
    for (let number = 0; number < 60; number++) await machine(leader).propose(1)
    for (const node of nodes) {
      const { failure, snapshotFailure, snapshotIndex } = await until('it has failed', () => {
        const { status } = node.app.cluster
        return status.snapshotFailure === null ? null : status
      })
      expect([failure, snapshotIndex]).toEqual([null, 0])
      expect(snapshotFailure).toEqual({
        message: expect.stringMatching(/"counter" cannot be written.*no paper.*RAFT_MACHINE_FAILED/) as string,
        count: expect.any(Number) as number,
        sinceMs: expect.any(Number) as number
      })
      const ready = await fetch(`${node.url}/_cluster/v1/readyz?verbose`)
      const { checks } = (await ready.json()) as { readonly checks: Readonly<Record<string, unknown>> }
      expect([ready.status, checks.snapshot]).toEqual([
        200,
        { ok: true, warning: true, detail: expect.stringMatching(/in a row failed.*no paper/) as string }
      ])
    }
    const [follower] = followersOf(nodes, leader)
    await follower.app.close()
    const app = await startNode({ ...options.get(follower.id), id: follower.id }, follower.url, (started) => {
      started.cluster.machine('counter', broken())
    })
    await until('it is ready', async () => (await fetch(`${app.url}/_cluster/v1/readyz`)).status === 200, 20_000)
    expect(await machine(leader).propose(1)).toBe(61)
    isBroken = false
    const { index } = await leader.app.cluster.takeSnapshot()
    expect(leader.app.cluster.status).toMatchObject({ snapshotFailure: null, snapshotIndex: index })
  }, 45_000)

  it('is carried to a node that lost everything, and to a new one, by a snapshot and what follows it', async () => {
    const snapshots = { everyEntries: 20, trailingEntries: 0 }
    const { nodes, machine, machines } = await start(() => counter(), async () => ({ snapshots }))
    const leader = await agreedLeader(nodes)
    const [lost] = followersOf(nodes, leader)
    for (let number = 0; number < 60; number++) await machine(leader).propose(1)
    await until('a snapshot', () => leader.app.cluster.status.snapshotIndex > 20)
    await lost.app.close()
    const rest = nodes.filter((node) => node !== lost)
    await until('it is removed', async () => (await agreedLeader(rest)).app.cluster.removeMember(lost.id))
    const [port] = await freePorts(1)
    for (const { id, url } of [lost, { id: 'n4', url: `http://127.0.0.1:${port}` }]) {
      const joiner = await startNode({ id, url, join: rest.map((node) => node.url), snapshots }, url, (app) => {
        machines.set(id, app.cluster.machine('counter', counter()))
      })
      await until(`${id} is ready`, async () => (await fetch(`${url}/_cluster/v1/readyz`)).status === 200, 20_000)
      rest.push(joiner)
    }
    const [, , again, fresh] = rest as [Node, Node, Node, Node]
    for (const node of [again, fresh]) expect(node.app.cluster.status.snapshotIndex).toBeGreaterThan(0)
    expect(await machine(fresh).propose(1)).toBe(61)
    for (const node of rest) expect(await machine(node).read((state) => state.total)).toBe(61)
  }, 45_000)

  it('of a later version in a snapshot stops a node that does not know it, which keeps the snapshot for the release that does', async () => {
    const dataDir = await directory()
    let behind = ''
    const { nodes, machine, options } = await start(
      () => counter(2),
      async (id) => ({ snapshots: { everyEntries: 20, trailingEntries: 0 }, dataDir: join(dataDir, id) })
    )
    const leader = await agreedLeader(nodes)
    const [old, other] = followersOf(nodes, leader)
    behind = old.id
    await old.app.close()
    for (let number = 0; number < 60; number++) await machine(leader).propose(1)
    await until('a snapshot', () => [leader, other].every(({ app }) => app.cluster.status.snapshotIndex > 20))
    const close = new Map<number, () => Promise<void>>()
    const again = async (version: number): Promise<Node> =>
      await startNode({ ...options.get(behind), id: behind }, old.url, (app) => {
        app.cluster.machine('counter', counter(version))
        close.set(version, async () => {
          await app.close()
        })
      })
    const older = await again(1)
    const { failure } = await until('it has stopped', async () => {
      const status = await statusOf(older)
      return status.failure === null ? null : { failure: status.failure }
    })
    expect(failure).toMatch(
      /failed to restore the snapshot through index \d+: The snapshot has the state machine "counter" in version 2; this node has version 1\. Start it with a release that has version 2 or later.*RAFT_MACHINE_VERSION/
    )
    const { snapshotIndex } = older.app.cluster.status
    expect(snapshotIndex).toBeGreaterThan(20)
    expect(await machine(other).propose(1)).toBe(61)
    await older.app.close()
    // Started again, it says so at once. The snapshot stays.
    await expect(again(1)).rejects.toMatchObject({ code: 'RAFT_MACHINE_VERSION' })
    await close.get(1)?.()
    const updated = await again(2)
    expect(updated.app.cluster.status.snapshotIndex).toBeGreaterThanOrEqual(snapshotIndex)
    await until('it is ready', async () => (await fetch(`${updated.url}/_cluster/v1/readyz`)).status === 200, 20_000)
    expect(await updated.app.cluster.map('m').set('k', 1)).toBeDefined()
  }, 45_000)
})
