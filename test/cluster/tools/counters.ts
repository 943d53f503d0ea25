import { fileURLToPath } from 'node:url'
import { runCounters } from '../support/counter-rounds.ts'
import { readLongRun } from '../support/long-run.ts'

// npm run test:counters                     stops, kills, transfers and restarts five nodes that count under a lock
// npm run test:counters -- --seconds 60     for so long instead of ten minutes
// Also takes --seed, which draws nodes and pauses. Prints one line of JSON and exits with 0 only if the counters with a
// fence are exact, and those without a fence, or without the lock, are not. Progress goes to standard error.
const { count: seconds, seed, random } = readLongRun('seconds', 600, 'counters')

const result = await runCounters({
  program: fileURLToPath(new URL('counter-app.js', import.meta.url)),
  nodes: 5,
  forMs: seconds * 1_000,
  random,
  onFault: (kind, node) => { process.stderr.write(`seed ${seed}, ${kind} ${node}\n`) }
})
process.stdout.write(`${JSON.stringify({ seed, ...result })}\n`)
const { counters } = result
const isExact = [counters.map, counters.file].every(({ accepted, value, missing }) =>
  accepted > 0 && accepted === value && missing.length === 0)
const showsLosses = [counters['map-unfenced'], counters['file-unfenced'], counters['file-unlocked']]
  .every(({ lost }) => lost > 0)
if (!isExact || !showsLosses) process.exitCode = 1
