import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { FastifyInstance } from 'fastify'
import Fastify from 'fastify'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { Cluster } from '../../../src/plugin/index.ts'
import { cluster } from '../../../src/plugin/index.ts'
import { threeMembers } from '../support/fake-app.ts'

function create (): FastifyInstance {
  const app = Fastify()
  onTestFinished(async () => { await app.close() })
  return app
}

const notStarted = {
  code: 'RAFT_STOPPED',
  message: expect.stringContaining('it has not been started. An application starts it in app.ready()') as string
}
const notOpen = {
  code: 'RAFT_STOPPED',
  message: expect.stringContaining('it is being opened, or could not be. Use app.cluster after await') as string
}

describe('between registration and ready', () => {
  const calls: ReadonlyArray<readonly [string, (cluster: Cluster) => Promise<unknown>]> = [
    ['map.get', (of) => of.map('m').get('k')],
    ['map.get by lease', (of) => of.map('m').get('k', { read: 'lease' })],
    ['map.set', (of) => of.map('m').set('k', 1)],
    ['map.list', (of) => of.map('m').list()],
    ['lock.acquire', (of) => of.lock('l').acquire()],
    ['lock.using', (of) => of.lock('l').using(() => 1)],
    ['executeIfLeader', (of) => of.executeIfLeader(() => 1)],
    ['waitForLeadership', (of) => of.waitForLeadership(20)],
    ['waitForLeader', (of) => of.waitForLeader({ timeoutMs: 20 })],
    ['transferLeadership', (of) => of.transferLeadership()],
    ['stepDown', (of) => of.stepDown()],
    ['addMember', (of) => of.addMember({ id: 'n4', url: 'http://127.0.0.1:4' })],
    ['promoteMember', (of) => of.promoteMember('n2')],
    ['demoteMember', (of) => of.demoteMember('n2')],
    ['removeMember', (of) => of.removeMember('n2')],
    ['changeMemberUrl', (of) => of.changeMemberUrl('n2', 'http://127.0.0.1:4')],
    ['leave', (of) => of.leave()],
    ['takeSnapshot', (of) => of.takeSnapshot()],
    ['machine.propose', (of) => of.machine('m', machine).propose(1)],
    ['machine.read', (of) => of.machine('m', machine).read((state) => state)]
  ]
  const machine = { version: 1, initial: () => 0, apply: (state: number) => ({ state, answer: state }) }

  it.each(calls)('%s says what to wait for', async (_name, call) => {
    for (const options of [{}, { ...threeMembers(), dataDir: undefined }]) {
      const app = create()
      await app.register(cluster, options)
      await expect(call(app.cluster)).rejects.toMatchObject(notStarted)
    }
  })

  it('waits, singletons and listeners that begin there go on once the node has started', async () => {
    const app = create()
    await app.register(cluster)
    const waiting = app.cluster.waitForLeadership()
    const ran = new Promise((resolve) => { app.cluster.singleton('s', resolve) })
    await app.ready()
    expect((await waiting).token).toBe('1')
    await ran
    expect(await app.cluster.executeIfLeader(() => 1)).toMatchObject({ status: 'completed' })
  })
})

describe('before the registration is complete', () => {
  it('app.cluster says that it was not awaited', async () => {
    const app = create()
    const dataDir = await mkdtemp(join(tmpdir(), 'fastify-raft-'))
    onTestFinished(async () => { await rm(dataDir, { recursive: true, force: true }) })
    const registered = app.register(cluster, { dataDir })
    const ready = registered.then(() => 'registered')
    await expect.poll(() => app.hasDecorator('cluster'), { interval: 0 }).toBe(true)
    expect(() => app.cluster).toThrow(expect.objectContaining(notOpen) as Error)
    expect(await ready).toBe('registered')
    expect(app.cluster.nodeId).toBe('n1')
  })

  it('app.cluster says so after a registration that failed, too', async () => {
    const app = create()
    await expect(app.register(cluster, { dataDir: '/dev/null/x' })).rejects.toMatchObject({ code: 'RAFT_DATA_DIR' })
    expect(() => app.cluster).toThrow(expect.objectContaining(notOpen) as Error)
  })

  it('a plugin that is registered behind it finds the node', async () => {
    const app = create()
    let nodeId: string | null = null

    app.register(cluster, { id: 'n7' })

    app.register(async (scope) => { nodeId = scope.cluster.nodeId })
    await app.ready()
    expect(nodeId).toBe('n7')
  })
})
