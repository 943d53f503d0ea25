/**
 * Crashes one log after another on a simulated disk that loses and tears what was not synced, and checks each restart.
 *
 * `node wal-crashes.js [--crashes 20000] [--seed 1]`
 */
import { parseArgs } from 'node:util'
import { simulateCrashes } from '../support/crash-simulation.ts'

const { values } = parseArgs({
  options: { crashes: { type: 'string', default: '20000' }, seed: { type: 'string', default: '1' } }
})
const crashesPerSeed = 200
const start = performance.now()
const totals = new Map<string, number>()
for (let done = 0, seed = Number(values.seed); done < Number(values.crashes); done += crashesPerSeed, seed++) {
  const tally = await simulateCrashes(seed, Math.min(crashesPerSeed, Number(values.crashes) - done))
  for (const [name, count] of Object.entries(tally)) totals.set(name, (totals.get(name) ?? 0) + (count as number))
}
console.log(
  `${((performance.now() - start) / 1000).toFixed(1)} s: ${[...totals].map(([name, count]) => `${name} ${count}`).join(', ')}`
)
