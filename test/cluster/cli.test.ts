import { once } from 'node:events'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { type AddressInfo, connect, createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { pollUntil } from '../../src/cli/local/polling.ts'
import { freePorts } from '../../src/cli/local/ports.ts'
import { isGone, send } from './support/requests.ts'
import { runCli, startCli } from './support/run-cli.ts'

let directory: string
let port: number

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'fastify-raft-cli-'))
  port = (await freePorts(1))[0] ?? 0
})
afterEach(async () => { await rm(directory, { recursive: true, force: true }) })

function dataDir (): string {
  return join(directory, 'data')
}
function logPath (): string {
  return join(dataDir(), 'wal-0000000000000001')
}
function nodeArgs (...more: string[]): string[] {
  return ['node', '--id', 'n1', '--listen', `127.0.0.1:${port}`, '--data-dir', dataDir(), ...more]
}
function url (): string {
  return `http://127.0.0.1:${port}`
}

/** Runs a node until it has stored an order, and closes it. */
async function leaveLogBehind (...more: string[]): Promise<void> {
  const node = startCli(nodeArgs(...more))
  await node.printed('Server listening')
  expect((await send('POST', `${url()}/orders`, { id: 'o1', item: 'tea' })).status).toBe(201)
  node.signal('SIGTERM')
  expect(await node.ended).toMatchObject({ code: 0, errors: '' })
}

describe('the command line', () => {
  it('prints its version and its usage', async () => {
    const manifest = JSON.parse(await readFile(new URL('../../package.json', import.meta.url), 'utf8')) as {
      version: string
    }
    expect(await runCli(['--version'])).toMatchObject({ code: 0, output: `${manifest.version}\n`, errors: '' })
    for (const args of [
      [],
      ['--help'],
      ['node', '--help'],
      ['gateway', '--help'],
      ['local', '--help'],
      ['demo', '--help']
    ]) {
      expect(await runCli(args)).toMatchObject({
        code: 0,
        output: expect.stringContaining('Usage: fastify-raft') as string,
        errors: ''
      })
    }
  })

  it.each([
    [['frobnicate'], 'fastify-raft: Unknown command "frobnicate"\nTry: fastify-raft --help\n'],
    [['node', '--frobnicate'], "fastify-raft: Unknown option '--frobnicate'\nTry: fastify-raft node --help\n"],
    [['node'], 'fastify-raft: --id (or CLUSTER_NODE_ID) is required\nTry: fastify-raft node --help\n'],
    [
      ['gateway', '--nodes', 'nonsense'],
      'fastify-raft: --nodes (or GATEWAY_NODES) must be a list of URLs such as http://127.0.0.1:4001, not "nonsense"\nTry: fastify-raft gateway --help\n'
    ]
  ])('refuses %j in plain words with exit code 2', async (args, errors) => {
    expect(await runCli(args)).toMatchObject({ code: 2, output: '', errors })
  })
})

describe('a node with impossible options', () => {
  const three = 'n1=http://127.0.0.1:4001,n2=http://127.0.0.1:4002,n3=http://127.0.0.1:4003'

  it.each<[string, string[], RegExp]>([
    ['an id that is not among the members', ['--members', three.replaceAll('n1', 'n4')], /"n1" is not one of the members/],
    ['duplicate ids', ['--members', `${three},n3=http://127.0.0.1:4004`], /"n3" is that of members\[2\] already/],
    ['a bad URL', ['--members', 'n1=nonsense'], /members\[0\]\.url/],
    [
      'an election timeout within three heartbeats',
      ['--election-timeout-min-ms', '300'],
      /electionTimeoutMinMs must be above three heartbeats/
    ],
    ['members off loopback', ['--members', 'n1=http://10.0.0.1:4001,n2=http://10.0.0.2:4001'], /set insecure: true/],
    ['an id with a space', ['--cluster-id', 'a b'], /clusterId/]
  ])('refuses %s before anything is written', async (_what, args, message) => {
    const run = await runCli(nodeArgs(...args))
    expect(run).toMatchObject({ code: 2, errors: expect.stringMatching(message) as string })
    expect(run.errors).not.toContain('    at ')
    expect(await readdir(directory)).toEqual([])
  })

  it('lists every fault at once', async () => {
    const { errors } = await runCli(nodeArgs('--members', 'n2=nonsense', '--heartbeat-ms', '5'))
    for (const name of ['members[0].url', 'heartbeatMs']) expect(errors).toContain(name)
  })

  it('reports a port in use', async () => {
    const other = await listening(port)
    try {
      for (const args of [
        nodeArgs(),
        ['gateway', '--nodes', 'http://127.0.0.1:4001', '--listen', `127.0.0.1:${port}`]
      ]) {
        expect(await runCli(args)).toMatchObject({
          code: 1,
          errors: `fastify-raft: Port ${port} on 127.0.0.1 is in use. Stop what uses it, or choose another with --listen\n`
        })
      }
    } finally {
      await closed(other)
    }
  })

  it('reports a port in use and a missing directory for a local cluster', async () => {
    const [first = 0, second = 0] = await freePorts(2)
    const other = await listening(second)
    try {
      expect(await runCli(['local', '--first-port', String(first), '--gateway-port', String(second)])).toMatchObject({
        code: 1,
        errors: `fastify-raft: Port ${second} on 127.0.0.1 is in use or not allowed to this user; choose others with --first-port and --gateway-port\n`
      })
    } finally {
      await closed(other)
    }
    for (const command of ['local', 'demo']) {
      expect(await runCli([command, '--data-dir', join(directory, 'missing')])).toMatchObject({
        code: 1,
        errors: `fastify-raft: The directory ${join(directory, 'missing')} does not exist\n`
      })
    }
  })
})

describe('a node with a data directory that is not its own or damaged', () => {
  it('refuses a file in the place of the directory', async () => {
    await writeFile(dataDir(), 'mine')
    expect(await runCli(nodeArgs())).toMatchObject({
      code: 1,
      errors: expect.stringMatching(/cannot be used: it is not a directory\. \(RAFT_DATA_DIR\)/) as string
    })
    expect(await readFile(dataDir(), 'utf8')).toBe('mine')
  })

  it('refuses the log of another node and of another cluster', async () => {
    await leaveLogBehind()
    const log = await readFile(logPath())
    const otherNode = nodeArgs().map((argument) => argument === 'n1' ? 'n2' : argument)
    for (const args of [otherNode, nodeArgs('--cluster-id', 'another')]) {
      expect(await runCli(args)).toMatchObject({
        code: 1,
        errors: expect.stringMatching(/belongs to node "n1" of cluster "default".*\(RAFT_DATA_DIR_FOREIGN\)/) as string
      })
    }
    expect(log.equals(await readFile(logPath()))).toBe(true)
  })

  it('refuses a log with a flipped bit, and names the two ways out', async () => {
    await leaveLogBehind()
    const log = await readFile(logPath())
    // Behind its last write a segment is zeros.
    const middle = Math.floor(log.findLastIndex((byte) => byte !== 0) / 2)
    log.writeUInt8(log.readUInt8(middle) ^ 1, middle)
    await writeFile(logPath(), log)
    expect(await runCli(nodeArgs())).toMatchObject({
      code: 1,
      errors: expect.stringMatching(/is damaged at byte .* two ways out.*\(RAFT_WAL_CORRUPT\)/) as string
    })
    expect(log.equals(await readFile(logPath()))).toBe(true)
  })

  it('refuses a log of a newer version', async () => {
    await leaveLogBehind()
    const log = await readFile(logPath())
    // Magic (8 bytes), checksum, version, length of the payload, payload.
    log.writeUInt32BE(3, 12)
    log.writeUInt32BE(crc32(log.subarray(12, 20 + log.readUInt32BE(16))), 8)
    await writeFile(logPath(), log)
    expect(await runCli(nodeArgs())).toMatchObject({
      code: 1,
      errors: expect.stringMatching(
        /has format version 3; this release knows version 2.*\(RAFT_WAL_VERSION\)/
      ) as string
    })
  })

  it('refuses a directory that another process uses', async () => {
    const first = startCli(nodeArgs())
    await first.printed('Server listening')
    const [other] = await freePorts(1)
    const args = nodeArgs().map((argument) => argument === `127.0.0.1:${port}` ? `127.0.0.1:${other}` : argument)
    expect(await runCli(args)).toMatchObject({
      code: 1,
      errors: expect.stringMatching(/another running node has it open.*\(RAFT_DATA_DIR\)/) as string
    })
    first.signal('SIGTERM')
    expect(await first.ended).toMatchObject({ code: 0 })
  })
})

describe('a node that is told to stop', () => {
  it.each(['SIGTERM', 'SIGINT'] as const)(
    'closes within 5 seconds of %s, while clients keep connections open',
    async (name) => {
      const node = startCli(nodeArgs())
      await node.printed('Server listening')
      const idle = connect(port, '127.0.0.1')
      const halfway = connect(port, '127.0.0.1')
      try {
        await Promise.all([once(idle, 'connect'), once(halfway, 'connect')])
        halfway.write(
          'POST /orders HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 100\r\nexpect: 100-continue\r\n\r\n{"item":'
        )
        // "100 Continue": the request has begun.
        await once(halfway, 'data')
        const toldAtMs = performance.now()
        node.signal(name)
        const run = await node.ended
        expect(performance.now() - toldAtMs).toBeLessThan(5_000)
        expect(run).toMatchObject({ code: 0, signal: null, errors: '' })
        expect(await isGone(url())).toBe(true)
      } finally {
        idle.destroy()
        halfway.destroy()
      }
    }
  )

  it('keeps its data, and logs only JSON', async () => {
    await leaveLogBehind()
    const again = startCli(nodeArgs())
    await again.printed('Server listening')
    expect(JSON.parse((await send('GET', `${url()}/orders/o1`)).text)).toMatchObject({ id: 'o1', item: 'tea' })
    again.signal('SIGTERM')
    const { output } = await again.ended
    for (const line of output.trimEnd().split('\n')) expect(JSON.parse(line)).toMatchObject({ node: 'n1' })
  })

  it('takes all settings from the environment as well', async () => {
    const environment = {
      CLUSTER_NODE_ID: 'n7',
      CLUSTER_LISTEN: `127.0.0.1:${port}`,
      CLUSTER_DATA_DIR: dataDir(),
      CLUSTER_ID: 'env'
    }
    const node = startCli(['node'], { environment })
    await node.printed('Server listening')
    expect(JSON.parse((await send('GET', `${url()}/_cluster/v1/status`)).text)).toMatchObject({
      nodeId: 'n7',
      clusterId: 'env'
    })
    node.signal('SIGTERM')
    expect(await node.ended).toMatchObject({ code: 0 })
  })
})

describe('a node with an environment of an older version', () => {
  it('does not start, and says what the variables are called now', async () => {
    const environment = { CLUSTER_ID: 'n7', CLUSTER_LISTEN: `127.0.0.1:${port}`, CLUSTER_NAME: 'env' }
    expect(await runCli(['node', '--data-dir', dataDir()], { environment })).toMatchObject({
      code: 2,
      output: '',
      errors: 'fastify-raft: CLUSTER_NAME is no longer read: put the name of the cluster into CLUSTER_ID, and the id of ' +
        'the node, which CLUSTER_ID used to hold, into CLUSTER_NODE_ID\nTry: fastify-raft node --help\n'
    })
    expect(await readdir(directory)).toEqual([])
  })
})

describe('a snapshot of a node that runs', () => {
  it('is saved, inspected and restored into a new cluster, where tokens start above all tokens of the old one', async () => {
    const [file, restored] = [join(directory, 'saved'), join(directory, 'restored')]
    const node = startCli(nodeArgs())
    await node.printed('Server listening')
    expect((await send('POST', `${url()}/orders`, { id: 'o1', item: 'tea' })).status).toBe(201)
    expect(await runCli(['snapshot', 'save', file, '--data-dir', dataDir(), '--node', url()])).toMatchObject({
      code: 0,
      errors: ''
    })
    // Written behind the snapshot, so that the new cluster cannot know of it: no token can be above the log's end.
    expect((await send('POST', `${url()}/orders`, { id: 'o2', item: 'milk' })).status).toBe(201)
    const { lastIndex } = JSON.parse((await send('GET', `${url()}/_cluster/v1/status`)).text) as { lastIndex: number }
    expect(await runCli(['snapshot', 'save', file, '--data-dir', dataDir(), '--node', url()])).toMatchObject({
      code: 1,
      errors: expect.stringContaining('RAFT_') as string
    })
    node.signal('SIGTERM')
    await node.ended
    expect(await runCli(['snapshot', 'inspect', file])).toMatchObject({
      code: 0,
      output: expect.stringContaining('cluster default') as string
    })

    expect(
      await runCli(['snapshot', 'restore', file, '--data-dir', restored, '--id', 'n1', '--members', `n1=${url()}`])
    ).toMatchObject({ code: 0, errors: '' })
    const anew = startCli(nodeArgs().map((argument) => argument === dataDir() ? restored : argument))
    await anew.printed('Server listening')
    expect(JSON.parse((await send('GET', `${url()}/orders/o1`)).text)).toMatchObject({ id: 'o1', item: 'tea' })
    expect((await send('GET', `${url()}/orders/o2`)).status).toBe(404)
    expect((await send('POST', `${url()}/orders`, { id: 'o3', item: 'bread' })).status).toBe(201)
    // The token of the leadership that sent the order.
    const token = await pollUntil(
      'the order to be sent',
      10_000,
      async () =>
        (JSON.parse((await send('GET', `${url()}/orders/o3`)).text) as { sentToken: string | null }).sentToken
    )
    expect(BigInt(token)).toBeGreaterThan(BigInt(lastIndex))
    anew.signal('SIGTERM')
    expect(await anew.ended).toMatchObject({ code: 0 })
  }, 60_000)
})

describe('a gateway that is told to stop', () => {
  it('closes within 5 seconds', async () => {
    const gateway = startCli(['gateway', '--nodes', 'http://127.0.0.1:9', '--listen', `127.0.0.1:${port}`])
    await gateway.printed('gateway is listening')
    const waiting = send('POST', `${url()}/orders`, { item: 'tea' }).catch(() => null)
    const toldAtMs = performance.now()
    gateway.signal('SIGTERM')
    expect(await gateway.ended).toMatchObject({ code: 0 })
    expect(performance.now() - toldAtMs).toBeLessThan(5_000)
    await waiting
  })
})

async function listening (onPort: number): Promise<Server> {
  const server = createServer((socket) => { socket.destroy() }).listen(onPort, '127.0.0.1')
  await once(server, 'listening')
  expect((server.address() as AddressInfo).port).toBe(onPort)
  return server
}

async function closed (server: Server): Promise<void> {
  server.close()
  await once(server, 'close')
}
