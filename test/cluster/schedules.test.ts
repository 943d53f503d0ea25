import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { fakeTimeLibrary, runSchedules } from './support/schedule-rounds.ts'

/** As `npm run build:tools` leaves it. */
const program = fileURLToPath(new URL('../../build/test/cluster/tools/schedule-app.js', import.meta.url))
const seconds = Number(process.env.SCHEDULE_SECONDS ?? 20)

describe('schedules on real processes', () => {
  it(
    `run no slot twice and miss none over ${seconds} s of kills, stops, transfers, restarts and clocks that are apart`,
    { timeout: 180_000 + seconds * 3_000 },
    async () => {
      const result = await runSchedules({
        program,
        nodes: 3,
        forMs: seconds * 1_000,
        kinds: ['kill', 'stop', 'transfer', 'restart'],
        random: Math.random,
        movesClocks: fakeTimeLibrary() !== null
      })
      expect(result.once).toMatchObject({ twice: [], acceptedTwice: [], repeated: 0 })
      expect(result.least).toMatchObject({ twice: [], acceptedTwice: [], unfinished: [] })
      expect(result.least.slots).toBeGreaterThan(seconds / 4)
      expect(result.once.runs).toBeGreaterThan(2)
    }
  )
})
