import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import type { RequestListener } from 'node:http'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Fastify from 'fastify'
import { describe, expect, it, onTestFinished } from 'vitest'
import { AdminClient } from '../../../src/gateway/forward/admin-client.ts'
import { cluster } from '../../../src/plugin/index.ts'
import { checkBeforeStart, checkFirstMember } from '../../../src/plugin/join/first-check.ts'
import { MemoryLogger } from '../../support/memory-logger.ts'

/** A node that was started before; `answer` is what it says of the members. */
async function node (listener: RequestListener): Promise<string> {
  const server = createServer(listener)
  await new Promise<void>((resolve) => { server.listen(0, '127.0.0.1', resolve) })
  onTestFinished(() => { server.closeAllConnections(); server.close() })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

function saying (
  version: number,
  ids: readonly string[],
  clusterId = 'default',
  clusterUuid: string | null = null
): Promise<string> {
  return node((_req, res) => {
    res.end(
      JSON.stringify({
        clusterId,
        clusterUuid,
        version,
        members: ids.map((id) => ({ id, url: `http://127.0.0.1/${id}`, role: 'voter' }))
      })
    )
  })
}

async function check (
  nodes: readonly string[],
  dataDir: string | null = null,
  logger = new MemoryLogger()
): Promise<unknown> {
  const client = new AdminClient()
  onTestFinished(async () => { await client.close() })
  const applicant = { id: 'n1', url: 'http://127.0.0.1:1', clusterId: 'default' }
  return await checkFirstMember({
    applicant,
    nodes,
    membersPath: '/_cluster/v1/members',
    dataDir,
    client,
    logger,
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

  it('is refused when the others belong to two clusters of one name: which one is meant, only an operator knows', async () => {
    const [first, second] = [
      await saying(9, ['n1', 'n3'], 'default', 'aaa'),
      await saying(12, ['n1', 'n2'], 'default', 'bbb')
    ]
    expect(await check([first, second])).toMatchObject({
      code: 'RAFT_OTHER_CLUSTER',
      message: expect.stringContaining(`${first} belongs to aaa, and ${second} to bbb`) as string
    })
    expect(await check([first, await saying(8, ['n1', 'n3'], 'default', 'aaa')])).toBe('starts')
  })

  it('starts in time when no node answers', async () => {
    const silent = await node(() => {})
    const startedMs = performance.now()
    expect(await check([silent, 'http://127.0.0.1:1'])).toBe('starts')
    expect(performance.now() - startedMs).toBeLessThan(3_000)
  })
})

/** Somebody who answers, and not with members. */
function answering (statusCode: number, body = ''): Promise<string> {
  return node((_req, res) => { res.writeHead(statusCode).end(body) })
}

describe('a start check that could not be made', () => {
  it.each([
    [401, 'RAFT_UNAUTHORIZED'],
    [403, 'RAFT_UNAUTHORIZED'],
    [407, 'RAFT_UNAUTHORIZED'],
    [429, 'RAFT_BUSY']
  ])('because somebody refuses the question with %i counts as not passed', async (statusCode, code) => {
    const [locked, logger] = [await answering(statusCode), new MemoryLogger()]
    for (const nodes of [[locked], [locked, await saying(0, ['n1', 'n2', 'n3'])], ['http://127.0.0.1:1', locked]]) {
      expect(await check(nodes, null, logger)).toMatchObject({
        code,
        message: expect.stringContaining(`could not be asked at ${locked}: it answered ${statusCode}`) as string
      })
    }
    expect(logger.lines.filter(({ level }) => level === 'warn')[0]).toEqual({
      level: 'warn',
      details: { member: locked, reason: `it answered ${statusCode}` },
      message: 'start check not made: the member did not say whether this node still belongs'
    })
  })

  it('is made up for by another member that knows', async () => {
    const locked = await answering(401)
    expect(await check([locked, await saying(9, ['n1', 'n2', 'n3'])])).toBe('starts')
    expect(await check([locked, await saying(9, ['n2', 'n3'])])).toMatchObject(refused)
  })

  it('because nobody is there, or nobody who knows, is logged with the member and the reason', async () => {
    const nodes = ['http://127.0.0.1:1', await answering(502), await answering(200, 'no JSON'), await node(() => {})]
    const logger = new MemoryLogger()
    expect(await check(nodes, null, logger)).toBe('starts')
    expect(logger.lines.map(({ level, details }) => [level, details])).toEqual([
      ['info', { member: nodes[0], reason: expect.stringContaining('ECONNREFUSED') as string }],
      ['info', { member: nodes[1], reason: 'it answered 502, and not with members' }],
      ['info', { member: nodes[2], reason: 'it answered 200, and not with members' }],
      ['info', { member: nodes[3], reason: 'no answer within 300 ms' }]
    ])
  })

  it('keeps the application from its start, writes nothing, and says what can be done', async () => {
    const dataDir = await mkdtemp(join(tmpdir(), 'fastify-raft-first-'))
    onTestFinished(async () => { await rm(dataDir, { recursive: true, force: true }) })
    const url = await answering(403, '{"code":"RAFT_UNAUTHORIZED","message":"not from there"}')
    const app = Fastify()
    onTestFinished(async () => { await app.close() })
    const members = [{ id: 'n1', url: 'http://127.0.0.1:1' }, { id: 'n2', url }]
    await expect(app.register(cluster, { id: 'n1', members, dataDir })).rejects.toMatchObject({
      code: 'RAFT_UNAUTHORIZED',
      message: `whether this node still belongs could not be asked at ${url}: it answered 403 RAFT_UNAUTHORIZED: not ` +
        'from there. Let nodes reach GET /_cluster/v1/members, or name in adminHeaders a token, or what a proxy in front of it ' +
        'asks for'
    })
    expect(await readdir(dataDir)).toEqual([])
  })

  it('of a node that joins is logged as well, and made up for later', async () => {
    const logger = new MemoryLogger()
    const client = new AdminClient()
    onTestFinished(async () => { await client.close() })
    const locked = await answering(401)
    await checkBeforeStart({
      applicant: { id: 'n4', url: 'http://127.0.0.1:4', clusterId: 'default' },
      nodes: [locked],
      membersPath: '/_cluster/v1/members',
      dataDir: null,
      client,
      logger
    })
    expect(logger.lines).toEqual([{
      level: 'info',
      details: { url: locked, reason: 'it answered 401' },
      message: 'not asked before the start whether this node can join'
    }])
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
      client,
      logger: new MemoryLogger()
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
