import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { runHandovers } from './support/handover.ts'
import { program } from './support/start-cluster.ts'

/** As `npm run build:tools` leaves it. */
const app = fileURLToPath(new URL('../../build/test/cluster/tools/notes-app.js', import.meta.url))

describe('planned handovers under load, through a gateway', () => {
  it('fail no request, lose nothing and are hardly noticed, by a transfer and by a copy that drains', async () => {
    const { rounds, all, lost } = await runHandovers({
      programs: { cli: program, app },
      rounds: 4,
      kinds: ['transfer', 'drain'],
      perSecond: 100
    })
    expect(all.failures).toEqual([])
    expect(lost).toBe(0)
    expect(rounds).toHaveLength(4)
    for (const { requests, slowestMs } of rounds) {
      expect(requests).toBeGreaterThan(50)
      // Usually 60 ms; an election after a death takes ten times as long.
      expect(slowestMs).toBeLessThan(500)
    }
  })
})
