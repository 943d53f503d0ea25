import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { LocalCluster } from '../../src/cli/local/local-cluster.ts'
import { pollUntil } from '../../src/cli/local/polling.ts'
import { freePorts } from '../../src/cli/local/ports.ts'
import { send } from './support/requests.ts'
import { runCli, type RunningCli, startCli } from './support/run-cli.ts'
import { startCluster } from './support/start-cluster.ts'

let cluster: LocalCluster
let directory: string

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'fastify-raft-join-'))
  cluster = await startCluster()
})
afterAll(async () => {
  await cluster.stop()
  await rm(directory, { recursive: true, force: true })
})

async function ready (url: string): Promise<void> {
  await pollUntil(`${url} to be ready`, 30_000, async () =>
    (await send('GET', `${url}/_cluster/v1/readyz`).catch(() => null))?.status === 200 ? true : null
  )
}

describe('a process that joins', () => {
  it('becomes a voter, is one again after SIGKILL, leads, and is removed, all from the command line', async () => {
    const [port = 0] = await freePorts(1)
    const url = `http://127.0.0.1:${port}`
    const asked = cluster.nodes.map((node) => node.url).join(',')
    const { clusterId } = JSON.parse((await send('GET', `${cluster.nodes[0]?.url}/_cluster/v1/status`)).text) as {
      readonly clusterId: string
    }
    const start = (): RunningCli =>
      startCli(
        [
          'node',
          '--id',
          'n4',
          '--listen',
          `127.0.0.1:${port}`,
          '--data-dir',
          join(directory, 'n4'),
          '--cluster-id',
          clusterId,
          '--join',
          asked
        ],
        { environment: { CLUSTER_URL: url }, timeoutMs: 60_000 }
      )
    expect((await send('POST', `${cluster.nodes[0]?.url}/orders`, { id: 'o1', item: 'tea' })).status).toBe(201)
    const first = start()
    await ready(url)
    expect((await send('GET', `${url}/orders/o1`)).status).toBe(200)
    first.signal('SIGKILL')
    await first.ended
    const second = start()
    await ready(url)
    const at = ['--node', cluster.nodes[1]?.url ?? '']
    expect((await runCli(['members', ...at])).output).toContain(`n4  voter    ${url}`)
    expect(await runCli(['leader', 'transfer', '--to', 'n4', ...at])).toMatchObject({
      code: 0,
      errors: '',
      output: expect.stringMatching(/^n4 at \S+ leads in term \d+\n$/) as string
    })
    expect(
      (await send('POST', `${cluster.nodes[0]?.url}/orders`, { id: 'o2', item: 'tea' })).headers.get('raft-node')
    ).toBe('n4')
    const removed = await runCli(['members', 'remove', '--id', 'n4', ...at])
    expect(removed).toMatchObject({ code: 0, errors: '' })
    expect(removed.output).not.toContain('n4')
    expect(await runCli(['members', 'remove', '--id', 'n4', ...at])).toMatchObject({
      code: 1,
      errors: 'fastify-raft: The cluster has no member "n4" (RAFT_UNKNOWN_MEMBER)\n'
    })
    await cluster.waitForLeader()
    expect((await send('GET', `${cluster.nodes[0]?.url}/orders/o2`)).status).toBe(200)
    second.signal('SIGTERM')
    expect((await second.ended).code).toBe(0)
  })

  it('with another cluster id, or with the id of a member, reports that, writes nothing and ends', async () => {
    const [port = 0] = await freePorts(1)
    const dataDir = await mkdtemp(join(directory, 'refused-'))
    const args = [
      'node',
      '--listen',
      `127.0.0.1:${port}`,
      '--url',
      `http://127.0.0.1:${port}`,
      '--data-dir',
      dataDir,
      '--join',
      cluster.nodes[0]?.url ?? ''
    ]
    expect(await runCli([...args, '--id', 'n9', '--cluster-id', 'another'])).toMatchObject({
      code: 1,
      errors: expect.stringMatching(/belongs to cluster .*\(RAFT_MISDIRECTED\)\n$/) as string
    })
    const { clusterId } = JSON.parse((await send('GET', `${cluster.nodes[0]?.url}/_cluster/v1/status`)).text) as { readonly clusterId: string }
    expect(await runCli([...args, '--id', 'n2', '--cluster-id', clusterId])).toMatchObject({
      code: 1,
      errors: expect.stringMatching(/choose another id \(RAFT_MEMBER_EXISTS\)\n$/) as string
    })
    expect(await readdir(dataDir)).toEqual([])
  })
})
