import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'
import { runTaskRounds } from './support/task-rounds.ts'

/** As `npm run build:tools` leaves it. */
const program = fileURLToPath(new URL('../../build/test/cluster/tools/working-app.js', import.meta.url))

it('a singleton moves through a rolling restart without overlap and without a gap', async () => {
  const result = await runTaskRounds({ program, rounds: 1 })
  expect(result).toMatchObject({ overlaps: [], failures: [], lost: [], badExits: 0 })
  expect(result.handovers).toBeGreaterThan(0)
  // Usually some 20 ms.
  expect(result.longestGapMs).toBeLessThan(500)
})
