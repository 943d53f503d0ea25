import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Fastify from 'fastify'
import { describe, expect, it, onTestFinished } from 'vitest'
import { freePorts } from '../../../src/cli/local/ports.ts'
import type { ClusterOptions } from '../../../src/plugin/index.ts'
import { cluster } from '../../../src/plugin/index.ts'
import { until } from '../../support/until.ts'
import type { Node } from '../support/cluster-of-three.ts'
import { agreedLeader, clusterOfThree, startNode, wholeMembership } from '../support/cluster-of-three.ts'

async function three (): Promise<Node[]> {
  const nodes = await clusterOfThree(async (app, options) => { await app.register(cluster, options) })
  await wholeMembership(nodes)
  return nodes
}

async function freeUrl (): Promise<string> {
  const [port] = await freePorts(1)
  return `http://127.0.0.1:${port}`
}

async function directory (): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'fastify-raft-join-'))
  onTestFinished(async () => { await rm(path, { recursive: true, force: true }) })
  return path
}

async function readyz (
  node: Node
): Promise<{
  readonly status: number
  readonly checks: Record<string, { readonly ok: boolean; readonly detail: string }>
}> {
  const response = await fetch(`${node.url}/_cluster/v1/readyz?verbose`)
  return {
    status: response.status,
    checks: (
      (await response.json()) as { readonly checks: Record<string, { readonly ok: boolean; readonly detail: string }> }
    ).checks
  }
}

function isVoter (seenBy: Node, id: string): boolean {
  return seenBy.app.cluster.membership.members.some((member) => member.id === id && member.role === 'voter')
}

async function joined (node: Node): Promise<void> {
  await until(`${node.id} is ready`, async () => (await readyz(node)).status === 200, 20_000)
}

describe('a node that joins', () => {
  it('becomes a voter once it has caught up, and is not ready before', async () => {
    const nodes = await three()
    const leader = await agreedLeader(nodes)
    for (let index = 0; index < 50; index++) await leader.app.cluster.map('m').set(`k${index}`, index)
    const url = await freeUrl()
    const fourth = await startNode({ id: 'n4', url, join: nodes.map((node) => node.url) }, url)
    const early = await readyz(fourth)
    if (early.status === 503) expect(early.checks['member']?.detail).toMatch(/^joining|^voter/)
    await joined(fourth)
    expect(isVoter(fourth, 'n4')).toBe(true)
    expect((await fourth.app.cluster.map('m').list({ read: 'local' })).entries).toHaveLength(50)
    for (const node of nodes) await until(`${node.id} knows`, () => isVoter(node, 'n4'))
    await fourth.app.cluster.map('m').set('from', 'n4')
    // It is a full member: it can lead.
    await leader.app.cluster.transferLeadership('n4', { timeoutMs: 10_000 })
    expect((await agreedLeader([...nodes, fourth])).id).toBe('n4')
  }, 30_000)

  it('makes no call when it is started again', async () => {
    const nodes = await three()
    const [url, dataDir] = [await freeUrl(), await directory()]
    const first = await startNode({ id: 'n4', url, dataDir, join: nodes.map((node) => node.url) }, url)
    await joined(first)
    await first.app.cluster.map('m').set('k', 1)
    const { version } = first.app.cluster.membership
    await first.app.close()
    // No node listens there: a request would get no answer.
    const again = await startNode({ id: 'n4', url, dataDir, join: [await freeUrl()] }, url)
    await joined(again)
    expect(again.app.cluster.membership.version).toBe(version)
    expect(await again.app.cluster.map('m').get('k')).toMatchObject({ value: 1 })
  }, 30_000)

  it('waits for a cluster that is not running yet', async () => {
    const [own, other] = [await freeUrl(), await freeUrl()]
    const joiner = await startNode({ id: 'n2', url: own, join: [other] }, own)
    expect((await readyz(joiner)).checks).toMatchObject({
      node: { ok: true },
      member: { ok: false, detail: 'joining: not a member yet' }
    })
    expect((await fetch(`${own}/_cluster/v1/livez`)).status).toBe(200)
    const alone = await startNode({ id: 'n1', members: [{ id: 'n1', url: other }] }, other)
    await joined(joiner)
    expect(isVoter(alone, 'n2')).toBe(true)
    await joiner.app.cluster.map('m').set('k', 1)
  }, 30_000)

  it('is added by a sole voter without a URL, once that has been given one', async () => {
    const [own, other, dataDir] = [await freeUrl(), await freeUrl(), await directory()]
    const alone = await startNode({ id: 'n1', dataDir }, other)
    await expect(alone.app.cluster.addMember({ id: 'n2', url: own })).rejects.toMatchObject({
      code: 'RAFT_INVALID_OPTIONS',
      message: expect.stringContaining('n1 has no address that others could reach') as string
    })
    expect(alone.app.cluster.membership.members).toMatchObject([{ id: 'n1', url: other, role: 'voter' }])
    await alone.app.close()
    const again = await startNode({ id: 'n1', dataDir, members: [{ id: 'n1', url: other }] }, other)
    const joiner = await startNode({ id: 'n2', url: own, join: [other] }, own)
    await joined(joiner)
    expect(joiner.app.cluster.membership.members).toMatchObject([
      { id: 'n1', url: other, role: 'voter' },
      { id: 'n2', url: own, role: 'voter' }
    ])
    await again.app.cluster.map('m').set('k', 1)
    expect(await joiner.app.cluster.map('m').get('k')).toMatchObject({ value: 1 })
  }, 30_000)

  it('stays a member when the nodes it asked stop and start', async () => {
    // Grown from one to three: the options of the first know only itself.
    const [a, b, c] = [await freeUrl(), await freeUrl(), await freeUrl()]
    const [dirA, dirB, dirC] = [await directory(), await directory(), await directory()]
    const first = await startNode({ id: 'a', dataDir: dirA, members: [{ id: 'a', url: a }] }, a)
    const second = await startNode({ id: 'b', url: b, dataDir: dirB, join: [a] }, b)
    const third = await startNode({ id: 'c', url: c, dataDir: dirC, join: [a] }, c)
    await joined(second)
    await joined(third)
    await third.app.cluster.map('m').set('k', 1)
    await Promise.all([first, second, third].map(async ({ app }) => { await app.close() }))
    const again = await Promise.all([
      startNode({ id: 'a', dataDir: dirA, members: [{ id: 'a', url: a }] }, a),
      startNode({ id: 'b', url: b, dataDir: dirB, join: [a] }, b),
      startNode({ id: 'c', url: c, dataDir: dirC, join: [a] }, c)
    ])
    await agreedLeader(again)
    expect(again[0].app.cluster.membership.members.map(({ id, role }) => [id, role])).toEqual([
      ['a', 'voter'],
      ['b', 'voter'],
      ['c', 'voter']
    ])
    expect(await again[0].app.cluster.map('m').get('k')).toMatchObject({ value: 1 })
  }, 45_000)

  it('goes on to its promotion after a restart, and starts over when its directory is lost', async () => {
    const nodes = await three()
    const leader = await agreedLeader(nodes)
    const [url, dataDir] = [await freeUrl(), await directory()]
    // Added by hand, or by a node that was lost before it could be promoted.
    await until('it is added', () => leader.app.cluster.addMember({ id: 'n4', url }))
    const { version } = leader.app.cluster.membership
    const fourth = await startNode({ id: 'n4', url, dataDir, join: nodes.map((node) => node.url) }, url)
    await joined(fourth)
    // Removed, added and promoted: what an earlier node of that name had acknowledged counts no more.
    expect(fourth.app.cluster.membership.version).toBeGreaterThan(version + 2)
    const demoted = await until('it is demoted', async () =>
      (await agreedLeader(nodes)).app.cluster.demoteMember('n4')
    )
    await until('it knows', () => fourth.app.cluster.membership.version >= demoted.version)
    expect((await readyz(fourth)).status).toBe(200)
    await fourth.app.close()
  }, 45_000)

  it('stays a learner after a demotion and a restart', async () => {
    const nodes = await three()
    const [url, dataDir] = [await freeUrl(), await directory()]
    const fourth = await startNode({ id: 'n4', url, dataDir, join: nodes.map((node) => node.url) }, url)
    await joined(fourth)
    const demoted = await until('it is demoted', async () => (await agreedLeader(nodes)).app.cluster.demoteMember('n4'))
    await until('it knows', () => fourth.app.cluster.membership.version >= demoted.version)
    await fourth.app.close()
    const again = await startNode({ id: 'n4', url, dataDir, join: nodes.map((node) => node.url) }, url)
    await joined(again)
    await new Promise((resolve) => { setTimeout(resolve, 500) })
    const { incarnation } = again.app.cluster.status
    expect(again.app.cluster.membership.members).toContainEqual({
      id: 'n4',
      url,
      role: 'learner',
      demoted: true,
      incarnation
    })
    // An operator may promote it again.
    await until('it is promoted', async () => (await agreedLeader(nodes)).app.cluster.promoteMember('n4'))
    await until('it knows', () => isVoter(again, 'n4'))
    expect(again.app.cluster.membership.members).toContainEqual({ id: 'n4', url, role: 'voter', incarnation })
  }, 45_000)

  it('joins under the same id, as another member, after it was removed and its directory emptied', async () => {
    const nodes = await three()
    const url = await freeUrl()
    const first = await startNode(
      { id: 'n4', url, dataDir: await directory(), join: nodes.map((node) => node.url) },
      url
    )
    await joined(first)
    await until('it is removed', async () => (await agreedLeader(nodes)).app.cluster.removeMember('n4'))
    const { incarnation } = first.app.cluster.status
    await first.app.close()
    const second = await startNode(
      { id: 'n4', url, dataDir: await directory(), join: nodes.map((node) => node.url) },
      url
    )
    await joined(second)
    expect(second.app.cluster.status.incarnation).not.toBe(incarnation)
    await second.app.cluster.map('m').set('k', 1)
  }, 45_000)

  it('tells the cluster its new URL after a restart with another one', async () => {
    const nodes = await three()
    const [url, dataDir] = [await freeUrl(), await directory()]
    const first = await startNode({ id: 'n4', url, dataDir, join: nodes.map((node) => node.url) }, url)
    await joined(first)
    await first.app.close()
    const elsewhere = await freeUrl()
    const moved = await startNode({ id: 'n4', url: elsewhere, dataDir, join: nodes.map((node) => node.url) }, elsewhere)
    for (const node of [...nodes, moved]) {
      await until(
        `${node.id} knows`,
        () =>
          node.app.cluster.membership.members.some((member) => member.url === elsewhere && member.role === 'voter'),
        20_000
      )
    }
    await joined(moved)
    await moved.app.cluster.map('m').set('k', 1)
  }, 45_000)

  it('is refused after a restart with the URL of another member', async () => {
    const nodes = await three()
    const [url, dataDir] = [await freeUrl(), await directory()]
    const first = await startNode({ id: 'n4', url, dataDir, join: nodes.map((node) => node.url) }, url)
    await joined(first)
    const { version } = first.app.cluster.membership
    await first.app.close()
    const second = await startNode({ id: 'n4', url: nodes[0]?.url ?? '', dataDir, join: [nodes[1]?.url ?? ''] }, url)
    await new Promise((resolve) => { setTimeout(resolve, 1_000) })
    const { incarnation } = second.app.cluster.status
    for (const node of nodes) {
      expect(node.app.cluster.membership).toMatchObject({
        version,
        members: expect.arrayContaining([{ id: 'n4', url, role: 'voter', incarnation }]) as unknown
      })
    }
  }, 45_000)
})

/** Passes GET requests on to a node, from the second one on. */
async function lateProxy (url: string): Promise<string> {
  let count = 0
  const server = createServer((req, res) => {
    if (count++ === 0) {
      res.writeHead(503).end()
      return
    }
    fetch(url + req.url).then(
      async (answer) => {
        res.writeHead(answer.status).end(await answer.text())
      },
      () => {
        res.destroy()
      }
    )
  })
  await new Promise<void>((resolve) => { server.listen(0, '127.0.0.1', resolve) })
  onTestFinished(async () => { await new Promise((resolve) => { server.close(resolve) }) })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

describe('a node that cannot join', () => {
  /** Registers the plugin and returns the error; nothing may have been written. */
  async function refusal (options: ClusterOptions): Promise<unknown> {
    const dataDir = await directory()
    const app = Fastify()
    onTestFinished(async () => { await app.close() })
    const error = await app.register(cluster, { ...options, dataDir }).then(() => null, (reason: unknown) => reason)
    expect(await readdir(dataDir)).toEqual([])
    return error
  }

  it('is refused at its start when the cluster is another one, or its id or URL is in use, and writes nothing', async () => {
    const nodes = await three()
    const version = nodes[0]?.app.cluster.membership.version
    const url = await freeUrl()
    const asked = nodes.map((node) => node.url)
    expect(await refusal({ id: 'n4', url, join: asked, clusterId: 'another' })).toMatchObject({
      code: 'RAFT_MISDIRECTED',
      message: expect.stringContaining('belongs to cluster "default", and this node to "another"') as string
    })
    expect(await refusal({ id: 'n2', url, join: asked })).toMatchObject({
      code: 'RAFT_MEMBER_EXISTS',
      message: expect.stringContaining(`"n2" is at ${nodes[1]?.url}, and this node at ${url}`) as string
    })
    expect(await refusal({ id: 'n4', url: nodes[1]?.url ?? '', join: [nodes[0]?.url ?? ''] })).toMatchObject({
      code: 'RAFT_MEMBER_EXISTS',
      message: expect.stringContaining('is that of the member "n2"') as string
    })
    expect(nodes[0]?.app.cluster.membership.members).toHaveLength(3)
    expect(nodes[0]?.app.cluster.membership.version).toBe(version)
  }, 30_000)

  it('is refused, with nothing written, when it was removed and starts as one of the first members on an empty directory', async () => {
    const nodes = await three()
    const members = nodes.map(({ id, url }) => ({ id, url }))
    const leader = await agreedLeader(nodes)
    const gone = nodes.find((node) => node !== leader) ?? leader
    await until('it is removed', async () => (await agreedLeader(nodes)).app.cluster.removeMember(gone.id))
    await gone.app.close()
    expect(await refusal({ id: gone.id, members })).toMatchObject({
      code: 'RAFT_UNKNOWN_MEMBER',
      message: expect.stringContaining('Start it with join instead of members') as string
    })
  }, 30_000)

  it('reports the reason, is not alive, and does not join, when the reason is known only later', async () => {
    const [own, other] = [await freeUrl(), await freeUrl()]
    const joiner = await startNode({ id: 'n2', url: own, join: [other], clusterId: 'another' }, own)
    const alone = await startNode({ id: 'n1', members: [{ id: 'n1', url: other }] }, other)
    await until('it is refused', () => joiner.app.cluster.status.failure !== null)
    expect(joiner.app.cluster.status.failure).toContain('belongs to cluster "default"')
    expect((await fetch(`${own}/_cluster/v1/livez`)).status).toBe(503)
    expect((await readyz(joiner)).status).toBe(503)
    expect(alone.app.cluster.membership.members).toHaveLength(1)
  }, 30_000)

  it('does not join when it has the id and URL of a voter without its log', async () => {
    const nodes = await three()
    const url = await freeUrl()
    const fourth = await startNode({ id: 'n4', url, join: nodes.map((node) => node.url) }, url)
    await joined(fourth)
    const leader = await agreedLeader([...nodes, fourth])
    if (leader === fourth) await fourth.app.cluster.transferLeadership(nodes[0]?.id)
    await fourth.app.close()
    expect(await refusal({ id: 'n4', url, join: nodes.map((node) => node.url) })).toMatchObject({
      code: 'RAFT_MEMBER_EXISTS',
      message: expect.stringContaining('nothing is left') as string
    })
    // The same when it finds out later only.
    const asked = await lateProxy(nodes[0]?.url ?? '')
    const wiped = Fastify()
    onTestFinished(async () => { await wiped.close() })
    await wiped.register(cluster, { id: 'n4', url, join: [asked] })
    // Before it listens: the log has not come back to it.
    await wiped.ready()
    await until('it is refused', () => wiped.cluster.status.failure !== null, 20_000)
    expect(wiped.cluster.status.failure).toContain('it votes already, but nothing is left of what it has stored')
  }, 45_000)

  it('does not join again by itself after its removal', async () => {
    const nodes = await three()
    const [url, dataDir] = [await freeUrl(), await directory()]
    const fourth = await startNode({ id: 'n4', url, dataDir, join: nodes.map((node) => node.url) }, url)
    await joined(fourth)
    await until('it is removed', async () => (await agreedLeader(nodes)).app.cluster.removeMember('n4'))
    await fourth.app.close()
    const again = await startNode({ id: 'n4', url, dataDir, join: nodes.map((node) => node.url) }, url)
    await expect.poll(async () => (await readyz(again)).status).toBe(503)
    await new Promise((resolve) => { setTimeout(resolve, 1_000) })
    for (const node of nodes) {
      expect(node.app.cluster.membership.members.map(({ id }) => id)).toEqual(['n1', 'n2', 'n3'])
    }
    expect((await readyz(again)).status).toBe(503)
  }, 45_000)
})
