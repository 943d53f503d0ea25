import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Fastify from 'fastify'
import { describe, expect, it, onTestFinished } from 'vitest'
import { openEngine } from '../../../src/plugin/engine-factory.ts'
import { createClusterPlugin } from '../../../src/plugin/plugin.ts'
import { systemClock } from '../../../src/raft/internal.ts'

const hourMs = 3_600_000
/** A clock that is that much off is not noted anew. */
const toleranceMs = 1_000
/** More than a command takes. */
const patienceMs = 20_000

/** A node alone on a directory, whose wall clock is ahead by what `clocks` says. */
async function start (dataDir: string, clocks: { aheadMs: number }) {
  const clock = { ...systemClock, wallMs: () => systemClock.wallMs() + clocks.aheadMs }
  const app = Fastify()
  await app.register(createClusterPlugin((request) =>
    openEngine({ ...request, environment: { ...request.environment, clock } })), { dataDir })
  const watch = app.cluster.machine<null, null, number>('watch', {
    version: 1,
    initial: () => null,
    apply: (state, _command, { timeMs }) => ({ state, answer: timeMs })
  })
  await app.ready()
  return { app, now: async () => await watch.propose(null) }
}

function directory (): string {
  const dataDir = mkdtempSync(join(tmpdir(), 'time-of-day-'))
  onTestFinished(() => { rmSync(dataDir, { recursive: true, force: true }) })
  return dataDir
}

describe('the time that a state machine is told', () => {
  it('is the time of day: after a stop of days, and when the clock is set forward', async () => {
    const dataDir = directory()
    const clocks = { aheadMs: 0 }
    for (const aheadMs of [0, 50 * hourMs]) {
      clocks.aheadMs = aheadMs
      const { app, now } = await start(dataDir, clocks)
      try {
        for (const moreMs of [0, 2 * hourMs]) {
          clocks.aheadMs = aheadMs + moreMs
          const toldMs = await now()
          const behindMs = Date.now() + clocks.aheadMs - toldMs
          expect(behindMs).toBeGreaterThan(-toleranceMs)
          expect(behindMs).toBeLessThan(patienceMs)
        }
      } finally {
        await app.close()
      }
    }
  })

  it('waits, and never falls, when the clock is set back', async () => {
    const clocks = { aheadMs: 0 }
    const { app, now } = await start(directory(), clocks)
    try {
      const firstMs = await now()
      clocks.aheadMs = -2 * hourMs
      const secondMs = await now()
      expect(secondMs - firstMs).toBeGreaterThanOrEqual(0)
      expect(secondMs - firstMs).toBeLessThan(patienceMs)
    } finally {
      await app.close()
    }
  })
})
