import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { FastifyInstance } from 'fastify'
import Fastify from 'fastify'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { EngineFactory } from '../../../src/plugin/engine-factory.ts'
import type { MachineDefinition } from '../../../src/plugin/index.ts'
import { cluster } from '../../../src/plugin/index.ts'
import { createClusterPlugin } from '../../../src/plugin/plugin.ts'
import type { SnapshotInfo } from '../../../src/raft/index.ts'
import { FileSnapshotStore, FileStorage, openRaftEngine } from '../../../src/raft/index.ts'
import { testTiming } from '../../support/engine-cluster.ts'
import { until } from '../../support/until.ts'

/** Long enough for everything but the restore on a busy machine. */
const pluginTimeoutMs = 3_000

interface Gate {
  readonly opened: Promise<void>
  readonly open: () => void
}

function gate (): Gate {
  let open = (): void => {}
  const opened = new Promise<void>((resolve) => { open = resolve })
  return { opened, open }
}

type Counter = MachineDefinition<number, number, number>

const counter: Counter = {
  version: 1,
  initial: () => 0,
  apply: (total, add) => ({ state: total + add, answer: total + add }),
  snapshot: (total) => [total],
  restore: async (values) => {
    let total = 0
    for await (const value of values) total += Number(value)
    return total
  }
}

async function directory (): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'fastify-raft-restoring-'))
  onTestFinished(async () => { await rm(path, { recursive: true, force: true }) })
  return path
}

/** Opens an engine whose disk gives no byte of a snapshot before the gate is open. */
function slowEngine (directory: string, { opened }: Gate): EngineFactory {
  class SlowSnapshots extends FileSnapshotStore {
    override async * read (info: SnapshotInfo, offset?: number): AsyncGenerator<Uint8Array> {
      await opened
      yield * super.read(info, offset)
    }
  }
  return async ({ options, stateMachine, logger, environment: { clock }, basePath }) => await openRaftEngine({
    nodeId: options.id,
    clusterId: options.clusterId,
    members: options.members,
    storage: new FileStorage({ directory, identity: { clusterId: options.clusterId, nodeId: options.id } }),
    snapshots: new SlowSnapshots({ directory, clusterId: options.clusterId }),
    stateMachine,
    timing: testTiming,
    logger,
    clock,
    basePath
  })
}

/** A lone node on this directory. Not started: the caller does that. `slow` holds up reading the snapshot's bytes. */
async function node (dataDir: string, definition: Counter, slow?: Gate) {
  const app = Fastify({ pluginTimeout: pluginTimeoutMs })
  onTestFinished(async () => { await app.close() })
  await app.register(slow === undefined ? cluster : createClusterPlugin(slowEngine(dataDir, slow)), { dataDir })
  return { app, machine: app.cluster.machine('counter', definition) }
}

/** A directory whose snapshot holds a map and a machine. */
async function withSnapshot (): Promise<string> {
  const dataDir = await directory()
  const { app, machine } = await node(dataDir, counter)
  await app.ready()
  await app.cluster.map('m').set('k', 'v')
  await machine.propose(5)
  await app.cluster.takeSnapshot()
  await machine.propose(1)
  await app.close()
  return dataDir
}

async function readyz (url: string): Promise<{ readonly status: number, readonly state: unknown }> {
  const response = await fetch(`${url}/_cluster/v1/readyz?verbose`)
  const { checks } = await response.json() as { readonly checks: Readonly<Record<string, unknown>> }
  return { status: response.status, state: checks.state }
}

async function listening (app: FastifyInstance): Promise<string> {
  return await app.listen({ port: 0, host: '127.0.0.1' })
}

describe('a state that takes longer to restore than pluginTimeout', () => {
  it('does not keep the application from its start: it listens, is alive, and not ready until the end', async () => {
    const dataDir = await withSnapshot()
    const { opened, open } = gate()
    const { app, machine } = await node(dataDir, {
      ...counter,
      restore: async (values, version) => {
        await opened
        return await counter.restore?.(values, version) ?? 0
      }
    })
    const url = await listening(app)
    expect((await fetch(`${url}/_cluster/v1/livez`)).status).toBe(200)
    expect(await readyz(url)).toEqual({
      status: 503,
      state: { ok: false, detail: expect.stringMatching(/^restoring, \d+ % of \d+ bytes in \d+ s$/) as string }
    })
    expect(app.cluster.status.restoring).toMatchObject({ snapshotIndex: app.cluster.status.snapshotIndex })
    expect(app.cluster.isLeader).toBe(false)
    // Longer than Fastify gives to any hook or plugin.
    await new Promise((resolve) => { setTimeout(resolve, 1.5 * pluginTimeoutMs) })
    expect((await readyz(url)).status).toBe(503)
    open()
    await app.cluster.waitForState({ timeoutMs: 20_000 })
    expect(await machine.read((total) => total)).toBe(6)
    await until('it is ready', async () => (await readyz(url)).status === 200)
    expect((await readyz(url)).state).toEqual({ ok: true, detail: 'restored' })
  }, 30_000)

  it('is read behind the start from a slow disk, too: calls wait for it, or are refused in time', async () => {
    const dataDir = await withSnapshot()
    const slow = gate()
    const { app, machine } = await node(dataDir, counter, slow)
    const url = await listening(app)
    const refused = { code: 'RAFT_RESTORING', statusCode: 503 }
    await expect(app.cluster.map('m').get('k', { read: 'local', timeoutMs: 50 })).rejects.toMatchObject(refused)
    await expect(app.cluster.map('m').get('k', { timeoutMs: 50 })).rejects.toMatchObject(refused)
    await expect(app.cluster.map('m').set('k', 'w', { timeoutMs: 50 })).rejects.toMatchObject(refused)
    await expect(machine.propose(1, { timeoutMs: 50 })).rejects.toMatchObject(refused)
    await expect(app.cluster.lock('l').acquire({ timeoutMs: 50 })).rejects.toMatchObject(refused)
    await expect(app.cluster.waitForState(50)).rejects.toMatchObject(refused)
    const local = app.cluster.map('m').get('k', { read: 'local', timeoutMs: 20_000 })
    const write = app.cluster.map('m').set('k', 'w', { timeoutMs: 20_000 })
    const overHttp = fetch(`${url}/_cluster/v1/kv/x`)
    slow.open()
    expect((await local)?.value).toBe('v')
    expect(await write).toMatchObject({ value: 'w' })
    expect((await overHttp).status).toBe(404)
    expect(await machine.read((total) => total, { read: 'local' })).toBe(6)
  }, 30_000)

  it('stops the node when it turns out late that it cannot be restored, with the reason in livez', async () => {
    const dataDir = await withSnapshot()
    const { opened, open } = gate()
    const { app } = await node(dataDir, {
      ...counter,
      restore: async () => {
        await opened
        throw new Error('out of paper')
      }
    })
    const url = await listening(app)
    open()
    await expect(app.cluster.waitForState(20_000)).rejects.toMatchObject({
      code: 'RAFT_STOPPED',
      message: expect.stringContaining('out of paper') as string
    })
    expect((await fetch(`${url}/_cluster/v1/livez`)).status).toBe(503)
  }, 30_000)

  it('is refused by the start itself when that shows in time', async () => {
    const dataDir = await withSnapshot()
    const { app } = await node(dataDir, { ...counter, restore: () => { throw new Error('out of paper') } })
    await expect(app.ready()).rejects.toMatchObject({
      code: 'RAFT_MACHINE_FAILED',
      message: expect.stringContaining('out of paper') as string
    })
  })

  it('does not keep the application from closing', async () => {
    const dataDir = await withSnapshot()
    const slow = gate()
    const { app } = await node(dataDir, counter, slow)
    await listening(app)
    const waiting = expect(app.cluster.waitForState(20_000)).rejects.toMatchObject({ code: 'RAFT_STOPPED' })
    await app.close()
    await waiting
    slow.open()
  }, 30_000)
})
