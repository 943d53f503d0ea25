import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Fastify from 'fastify'
import { afterEach, describe, expect, it } from 'vitest'
import type { ClusterOptions, MachineDefinition } from '../../../src/plugin/index.ts'
import cluster from '../../../src/plugin/index.ts'
import { createMachine } from '../../../src/plugin/primitives/machine.ts'
import { until } from '../../support/until.ts'
import { startTestCluster } from './support/primitives.ts'

const counter: MachineDefinition<{ readonly total: number }, number, number> = {
  version: 1,
  initial: () => ({ total: 0 }),
  apply: ({ total }, add) => ({ state: { total: total + add }, answer: total + add })
}

const open: Array<() => Promise<unknown>> = []
const directories: string[] = []

async function start (options: ClusterOptions = {}) {
  const app = Fastify()
  await app.register(cluster, options)
  open.push(() => app.close())
  return app
}

afterEach(async () => {
  await Promise.all(open.splice(0).map((close) => close()))
  for (const directory of directories.splice(0)) rmSync(directory, { recursive: true, force: true })
})

describe('app.cluster.machine', () => {
  it('replicates commands, answers them, and reads the state', async () => {
    const app = await start()
    const machine = app.cluster.machine('counter', counter)
    await app.ready()
    expect(await machine.propose(2)).toBe(2)
    expect(await machine.propose(3, { idempotencyKey: 'i' })).toBe(5)
    expect(await machine.propose(3, { idempotencyKey: 'i' })).toBe(5)
    expect(await machine.read((state) => state.total)).toBe(5)
    expect(await machine.read(({ total }) => total, { read: 'local' })).toBe(5)
    const { token } = await app.cluster.waitForLeadership()
    expect(await machine.propose(1, { fence: token })).toBe(6)
    await expect(machine.propose(1, { fence: '9999' })).rejects.toMatchObject({ code: 'RAFT_FENCED' })
    await expect(machine.propose(4, { idempotencyKey: 'i' })).rejects.toMatchObject({
      code: 'RAFT_IDEMPOTENCY_CONFLICT'
    })
  })

  it('asks nobody for a lease read on the leader while its lease holds, and reads behind a barrier otherwise', async () => {
    const { node } = startTestCluster(2)
    const onLeader = createMachine(node(0), 'counter', counter)
    const onFollower = createMachine(node(1), 'counter', counter)
    await onLeader.propose(2)
    // From here on a barrier fails on both.
    node(0).engine.isCutOff = node(1).engine.isCutOff = true
    const total = (state: { readonly total: number }): number => state.total
    expect(await onLeader.read(total, { read: 'lease' })).toBe(2)
    await expect(onFollower.read(total, { read: 'lease' })).rejects.toMatchObject({ code: 'RAFT_NO_LEADER' })
    // The lease lapses: the state at hand may be old.
    node(0).engine.setLeadership(null, null)
    await expect(onLeader.read(total, { read: 'lease' })).rejects.toMatchObject({ code: 'RAFT_NO_LEADER' })
    expect(await onLeader.read(total, { read: 'local' })).toBe(2)
    node(1).engine.isCutOff = false
    expect(await onFollower.read(total, { read: 'lease' })).toBe(2)
  })

  it('refuses a command that no machine is given, and changes nothing', async () => {
    const app = await start()
    const machine = app.cluster.machine<number, unknown, number>('m', {
      version: 1,
      initial: () => 0,
      apply: (state) => ({ state: state + 1, answer: state + 1 })
    })
    await app.ready()
    const refused = async (command: unknown, code: string) => {
      await expect(machine.propose(command)).rejects.toMatchObject({ code })
    }
    await refused(undefined, 'RAFT_INVALID_OPTIONS')
    await refused(1n, 'RAFT_INVALID_OPTIONS')
    await refused(JSON.parse('{"__proto__":1}'), 'RAFT_INVALID_OPTIONS')
    await refused('x'.repeat(1_100_000), 'RAFT_TOO_LARGE')
    await refused(JSON.parse('['.repeat(200) + ']'.repeat(200)), 'RAFT_TOO_LARGE')
    await expect(machine.propose({ list: [1, { at: undefined }] })).rejects.toMatchObject({
      code: 'RAFT_INVALID_OPTIONS',
      message: expect.stringContaining('the command is not JSON: $.list[1].at is undefined') as string
    })
    const cycle: unknown[] = []
    cycle.push(cycle)
    await expect(machine.propose(cycle)).rejects.toMatchObject({
      code: 'RAFT_INVALID_OPTIONS',
      message: expect.stringContaining('$[0] contains itself') as string
    })
    expect(await machine.propose('fine')).toBe(1)
  })

  it('goes on when apply returns what is not JSON: the proposer hears of it, with index and place', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'raft-machine-'))
    directories.push(directory)
    const define = (): MachineDefinition<{ readonly total: unknown }, unknown, unknown> => ({
      version: 1,
      initial: () => ({ total: 0 }),
      apply: (_state, command) => ({ state: { total: command === 'big' ? 1n : command }, answer: command })
    })
    const app = await start({ dataDir: directory })
    const machine = app.cluster.machine('m', define())
    await app.ready()
    await machine.propose(1)
    await expect(machine.propose('big')).rejects.toMatchObject({
      code: 'RAFT_NOT_JSON',
      statusCode: 500,
      message: expect.stringMatching(/"m" failed at index \d+: the state is not JSON: \$\.total is a BigInt/) as string
    })
    expect(await machine.read((state) => state.total)).toBe(1)
    await app.cluster.takeSnapshot()
    expect(app.cluster.status.failure).toBeNull()
    await app.close()
    const again = await start({ dataDir: directory })
    const restored = again.cluster.machine('m', define())
    await again.ready()
    expect(await restored.read((state) => state.total)).toBe(1)
  })

  it('must be registered before the application is ready', async () => {
    const app = await start()
    app.cluster.machine('early', counter)
    expect(() => app.cluster.machine('early', counter)).toThrow(
      expect.objectContaining({ code: 'RAFT_MACHINE_EXISTS' }) as Error
    )
    await app.ready()
    expect(() => app.cluster.machine('late', counter)).toThrow(
      expect.objectContaining({ code: 'RAFT_MACHINE_TOO_LATE' }) as Error
    )
  })

  it('goes on after a restart, and halts where it is missing, with its name and the index', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'raft-machine-'))
    directories.push(directory)
    const first = await start({ dataDir: directory })
    const machine = first.cluster.machine('counter', counter)
    await first.ready()
    expect(await machine.propose(41)).toBe(41)
    await first.close()
    const second = await start({ dataDir: directory })
    const again = second.cluster.machine('counter', counter)
    await second.ready()
    expect(await again.propose(1)).toBe(42)
    await second.close()
    const third = await start({ dataDir: directory })
    await expect(third.ready()).rejects.toThrow()
    expect(third.cluster.status.failure).toMatch(/at index \d+: No state machine "counter" is registered/)
  })

  it('halts the node when apply throws, with the index and the error', async () => {
    const app = await start()
    const machine = app.cluster.machine<number, number, number>('m', {
      version: 1,
      initial: () => 0,
      apply: () => {
        throw new Error('division by zero')
      }
    })
    await app.ready()
    await expect(machine.propose(1)).rejects.toMatchObject({
      code: expect.stringMatching(/^RAFT_(OUTCOME_UNKNOWN|STOPPED)$/) as string
    })
    expect(app.cluster.status.failure).toMatch(/at index \d+: "m" failed at index \d+: division by zero/)
    expect(app.cluster.isLeader).toBe(false)
  })

  it('with debugHashes, goes on where states agree, and halts where one is changed in place', async () => {
    const app = await start({ debugHashes: true })
    const good = app.cluster.machine('good', counter)
    const bad = app.cluster.machine<{ total: number }, number, number>('bad', {
      version: 1,
      initial: () => ({ total: 0 }),
      apply: (state, add) => {
        state.total += add
        return { state, answer: state.total }
      }
    })
    await app.ready()
    const before = app.cluster.status.appliedIndex
    await Promise.all(Array.from({ length: 1_100 }, () => good.propose(1)))
    // One entry more than were proposed: the leader's hash.
    await until('the checkpoint', () => app.cluster.status.appliedIndex > before + 1_101)
    expect(app.cluster.status.failure).toBeNull()
    await expect(bad.propose(1)).rejects.toThrow()
    expect(app.cluster.status.failure).toContain('read only')
  })
})
