import Fastify from 'fastify'
import { describe, expect, it, onTestFinished } from 'vitest'
import { openEngine } from '../../../src/plugin/engine-factory.ts'
import type { ClusterOptions } from '../../../src/plugin/index.ts'
import { createClusterPlugin } from '../../../src/plugin/plugin.ts'
import { systemClock } from '../../../src/raft/internal.ts'
import { until } from '../../support/until.ts'

/** A node alone, on whose clocks time can go by at once. */
async function start (options: ClusterOptions) {
  let aheadMs = 0
  let wallAheadMs = 0
  const clock = {
    monotonicMs: () => systemClock.monotonicMs() + aheadMs,
    wallMs: () => systemClock.wallMs() + aheadMs + wallAheadMs
  }
  const app = Fastify()
  onTestFinished(async () => { await app.close() })
  await app.register(createClusterPlugin((request) =>
    openEngine({ ...request, environment: { ...request.environment, clock } })), options)
  const counter = app.cluster.machine<number, number, number>('counter', {
    version: 1,
    initial: () => 0,
    apply: (state, add) => ({ state: state + add, answer: state + add })
  })
  await app.ready()
  // Opens the session; what the node writes down at its start is in the log before.
  await counter.propose(0)
  await until('its first entries are committed', () => app.cluster.membership.isSettled)
  /** Adds one, and says what came of it and how many entries it took. */
  const add = async () => {
    const before = app.cluster.status.lastIndex
    const answer = await counter.propose(1)
    return { answer, entries: app.cluster.status.lastIndex - before }
  }
  return { add, later: (byMs: number) => { aheadMs += byMs }, setWallClock: (byMs: number) => { wallAheadMs += byMs } }
}

describe('sessionTtlMs', () => {
  it('ends a session that was unused for that long in log time: the next command is refused in it, and applied once in a new session', async () => {
    const { add, later } = await start({ sessionTtlMs: 10_000 })
    expect(await add()).toEqual({ answer: 1, entries: 1 })
    later(9_000)
    expect(await add()).toEqual({ answer: 2, entries: 1 })
    // The refused command, the new session, and the command in that.
    later(11_000)
    expect(await add()).toEqual({ answer: 3, entries: 3 })
    expect(await add()).toEqual({ answer: 4, entries: 1 })
  })

  it('is an hour by default', async () => {
    const { add, later } = await start({})
    expect((await add()).entries).toBe(1)
    later(3_500_000)
    expect((await add()).entries).toBe(1)
    later(3_700_000)
    expect(await add()).toEqual({ answer: 3, entries: 3 })
  })

  it.each([['ahead', 1], ['back', -1]])('D27: is not over when the wall clock is set %s by days', async (_way, sign) => {
    const { add, setWallClock } = await start({ sessionTtlMs: 10_000 })
    expect(await add()).toEqual({ answer: 1, entries: 1 })
    setWallClock(sign * 200_000_000)
    // The leader notes its clock in the log, and then comes the command.
    expect(await add()).toEqual({ answer: 2, entries: 2 })
    expect(await add()).toEqual({ answer: 3, entries: 1 })
  })
})
