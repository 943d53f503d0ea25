import { describe, expect, it } from 'vitest'
import { freePorts } from '../../../src/cli/local/ports.ts'
import { cluster } from '../../../src/plugin/index.ts'
import { until } from '../../support/until.ts'
import { agreedLeader, clusterOfThree, type Node, startNode } from '../support/cluster-of-three.ts'

interface Told {
  readonly tag: string
  readonly nodeId: string
  readonly clusterId: string
  readonly ready: boolean
  readonly leader: { readonly id: string, readonly term: number } | null
  readonly membershipVersion: number
  readonly members: ReadonlyArray<{ readonly id: string, readonly url: string, readonly role: string }>
}

async function watch ({ url }: Node, after = '', waitMs = 20_000): Promise<Told> {
  const answer = await fetch(`${url}/_cluster/v1/watch?after=${after}&waitMs=${waitMs}`)
  expect(answer.status).toBe(200)
  return await answer.json() as Told
}

/** Three nodes that are ready and go on to say the same. */
async function threeNodes (): Promise<Node[]> {
  const nodes = await clusterOfThree(async (app, options) => {
    await app.register(cluster, options)
  })
  await until('all are ready and settled', async () => {
    const told = await Promise.all(nodes.map(async (node) => await watch(node, '', 0)))
    return told.every(({ ready, membershipVersion }) => ready && membershipVersion === told[0]?.membershipVersion) &&
      nodes.every(({ app }) => app.cluster.membership.isSettled)
  })
  return nodes
}

describe('a watch', () => {
  it('is answered at once with what the node knows, and then at each change', async () => {
    const nodes = await threeNodes()
    const leader = await agreedLeader(nodes)
    const follower = nodes.find((node) => node !== leader) ?? leader
    const now = await watch(follower)
    expect(now).toMatchObject({
      nodeId: follower.id,
      clusterId: 'default',
      ready: true,
      leader: { id: leader.id },
      members: nodes.map(({ id, url }) => ({ id, url, role: 'voter' }))
    })
    const startedAtMs = performance.now()
    const changed = watch(follower, now.tag)
    await leader.app.cluster.transferLeadership(follower.id)
    expect((await changed).leader).not.toEqual(now.leader)
    // Far less than the 20 seconds after which it would be answered anyway.
    expect(performance.now() - startedAtMs).toBeLessThan(8_000)
    await until('it says who leads', async () => (await watch(follower, '', 0)).leader?.id === follower.id)
  })

  it('is answered after the time without a change, with the same', async () => {
    const nodes = await threeNodes()
    const [node] = nodes
    if (node === undefined) throw new Error('a node')
    const now = await watch(node)
    const startedAtMs = performance.now()
    expect(await watch(node, now.tag, 200)).toEqual(now)
    expect(performance.now() - startedAtMs).toBeGreaterThan(190)
  })

  it('keeps no node from closing: it is told that the node is not ready', async () => {
    const nodes = await threeNodes()
    const [node] = nodes
    if (node === undefined) throw new Error('a node')
    const now = await watch(node)
    const told = watch(node, now.tag)
    const startedAtMs = performance.now()
    await node.app.close()
    expect(await told).toMatchObject({ ready: false })
    expect(performance.now() - startedAtMs).toBeLessThan(5_000)
  })

  it('keeps no node from closing that has drained before, and has nothing new to tell', async () => {
    const nodes = await threeNodes()
    const [node] = nodes
    if (node === undefined) throw new Error('a node')
    await node.app.cluster.drain()
    let told = await watch(node, '', 0)
    await until('it tells nothing new', async () => {
      const before = told.tag
      told = await watch(node, before, 300)
      return told.tag === before
    })
    const last = watch(node, told.tag)
    // It has to have begun to wait.
    await new Promise((resolve) => { setTimeout(resolve, 100) })
    const startedAtMs = performance.now()
    await node.app.close()
    await last
    expect(performance.now() - startedAtMs).toBeLessThan(3_000)
  })

  it.each(['after=x&waitMs=-1', 'waitMs=60000', 'waitMs=x', 'wait=1', `after=${'x'.repeat(65)}`])('refuses %s', async (query) => {
    const [port = 0] = await freePorts(1)
    const node = await startNode({ id: 'n1' }, `http://127.0.0.1:${port}`)
    expect((await fetch(`${node.url}/_cluster/v1/watch?${query}`)).status).toBe(400)
  })
})
