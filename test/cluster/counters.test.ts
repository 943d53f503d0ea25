import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { runCounters } from './support/counter-rounds.ts'

/** As `npm run build:tools` leaves it. */
const program = fileURLToPath(new URL('../../build/test/cluster/tools/counter-app.js', import.meta.url))
const seconds = Number(process.env.COUNTER_SECONDS ?? 20)

describe('counters under a lock on real processes', () => {
  it(
    `are exact with a fence over ${seconds} s of pauses, kills, transfers and restarts, and lose updates without`,
    { timeout: 180_000 + seconds * 3_000 },
    async () => {
      const { faults, counters } = await runCounters({ program, nodes: 3, forMs: seconds * 1_000, random: Math.random })
      expect(faults.stop).toBeGreaterThan(0)
      for (const fenced of [counters.map, counters.file]) {
        expect(fenced).toMatchObject({ value: fenced.accepted, lost: 0, missing: [] })
        expect(fenced.accepted).toBeGreaterThan(seconds / 2)
        // Each holder that was overtaken while it was stopped.
        expect(fenced.refused).toBeGreaterThan(0)
      }
      // The controls: as many writes, and some of them count for nothing.
      for (const name of ['map-unfenced', 'file-unfenced', 'file-unlocked'] as const) {
        expect(counters[name].lost, name).toBeGreaterThan(0)
        expect(counters[name].value, name).toBe(counters[name].accepted - counters[name].lost)
      }
    }
  )
})
