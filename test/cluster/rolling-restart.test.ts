import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { runRollingRestart } from './support/rolling-restart.ts'

/** As `npm run build:tools` leaves it. */
const program = fileURLToPath(new URL('../../build/test/cluster/tools/working-app.js', import.meta.url))

describe('a rolling restart', () => {
  it('fails no request, while handlers work for 100 ms and then use the cluster', async () => {
    const result = await runRollingRestart({ program, rounds: 1, workMs: 100, closeTimeoutMs: 8_000, clients: 8 })
    expect(result).toMatchObject({ failures: [], lost: [] })
    expect(result.requests).toBeGreaterThan(50)
    const exits = [...result.exits, ...result.idleExits]
    expect(exits.map(({ code, signal }) => ({ code, signal }))).toEqual(Array(6).fill({ code: 0, signal: null }))
    // Usually 300 ms at most; above all not the time that requests may take.
    for (const { tookMs } of result.idleExits) expect(tookMs).toBeLessThan(3_000)
  })
})
