import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import type { RequestListener } from 'node:http'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { AdminClient } from '../../../src/gateway/forward/admin-client.ts'
import { checkBeforeStart, checkFirstMember } from '../../../src/plugin/join/first-check.ts'

/** A node that was started before; `answer` is what it says of the members. */
async function node (listener: RequestListener): Promise<string> {
  const server = createServer(listener)
  await new Promise<void>((resolve) => { server.listen(0, '127.0.0.1', resolve) })
  onTestFinished(() => { server.closeAllConnections(); server.close() })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

function saying (version: number, ids: readonly string[], clusterId = 'default'): Promise<string> {
  return node((_req, res) => {
    res.end(
      JSON.stringify({
        clusterId,
        version,
        members: ids.map((id) => ({ id, url: `http://127.0.0.1/${id}`, role: 'voter' }))
      })
    )
  })
}

async function check (nodes: readonly string[], dataDir: string | null = null): Promise<unknown> {
  const client = new AdminClient()
  onTestFinished(async () => { await client.close() })
  const applicant = { id: 'n1', url: 'http://127.0.0.1:1', clusterId: 'default' }
  return await checkFirstMember({
    applicant,
    nodes,
    membersPath: '/_cluster/v1/members',
    dataDir,
    client,
    withinMs: 300
  }).then(
    () => 'starts',
    (error: unknown) => error
  )
}

const refused = {
  code: 'RAFT_UNKNOWN_MEMBER',
  message: expect.stringContaining('Start it with join instead of members') as string
}

describe('one of the first members, on an empty directory', () => {
  it('is refused when one node answers that the cluster runs without it', async () => {
    expect(await check(['http://127.0.0.1:1', await saying(9, ['n3', 'n4', 'n5'])])).toMatchObject(refused)
  })

  it('starts when it is a member, or when the others know only their options, another cluster or nothing', async () => {
    expect(await check([await saying(9, ['n1', 'n2', 'n3'])])).toBe('starts')
    expect(await check([await saying(0, ['n2', 'n3']), await saying(9, ['n3'], 'another')])).toBe('starts')
    expect(
      await check([
        await node((_req, res) => {
          res.writeHead(503).end('{}')
        }),
        await node((_req, res) => {
          res.end('no JSON')
        })
      ])
    ).toBe('starts')
  })

  it('follows the newest answer: it may have been removed and added again', async () => {
    const [removed, added] = [await saying(9, ['n2', 'n3']), await saying(12, ['n1', 'n2', 'n3'])]
    expect(await check([removed, added])).toBe('starts')
    expect(await check([await saying(15, ['n2', 'n3']), added])).toMatchObject(refused)
  })

  it('starts in time when no node answers', async () => {
    const silent = await node(() => {})
    const startedMs = performance.now()
    expect(await check([silent, 'http://127.0.0.1:1'])).toBe('starts')
    expect(performance.now() - startedMs).toBeLessThan(3_000)
  })
})

describe('a directory without what a node has stored counts as empty', () => {
  it.each([
    ['a new volume', ['lost+found']],
    ['what a node left that was killed in its first start', ['lost+found', 'claim', 'wal-spare']]
  ])('%s', async (_what, names) => {
    const dataDir = await mkdtemp(join(tmpdir(), 'fastify-raft-first-'))
    onTestFinished(async () => { await rm(dataDir, { recursive: true, force: true }) })
    for (const name of names) await mkdir(join(dataDir, name))
    expect(await check([await saying(9, ['n2', 'n3'])], dataDir)).toMatchObject(refused)
    expect((await readdir(dataDir)).sort()).toEqual([...names].sort())
  })

  it('also when a node joins', async () => {
    const dataDir = await mkdtemp(join(tmpdir(), 'fastify-raft-first-'))
    onTestFinished(async () => { await rm(dataDir, { recursive: true, force: true }) })
    await mkdir(join(dataDir, 'lost+found'))
    const client = new AdminClient()
    onTestFinished(async () => { await client.close() })
    await expect(checkBeforeStart({
      applicant: { id: 'n1', url: 'http://127.0.0.1/n1', clusterId: 'default' },
      nodes: [await saying(9, ['n1', 'n2', 'n3'])],
      membersPath: '/_cluster/v1/members',
      dataDir,
      client
    })).rejects.toMatchObject({ code: 'RAFT_MEMBER_EXISTS' })
  })
})

describe('one of the first members, with its log', () => {
  it('makes no call, since a restart is never refused', async () => {
    const dataDir = await mkdtemp(join(tmpdir(), 'fastify-raft-first-'))
    onTestFinished(async () => { await rm(dataDir, { recursive: true, force: true }) })
    await writeFile(join(dataDir, 'log'), 'something')
    let asked = 0
    const url = await node((_req, res) => { asked++; res.end('{}') })
    expect(await check([url, await saying(9, ['n2', 'n3'])], dataDir)).toBe('starts')
    expect(asked).toBe(0)
    expect(await readdir(dataDir)).toEqual(['log'])
  })
})
