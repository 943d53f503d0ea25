import { randomInt } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { SimRandom } from '../../sim/random.ts'
import { runCounters } from '../support/counter-rounds.ts'

// npm run test:counters                     stops, kills, transfers and restarts five nodes that count under a lock
// npm run test:counters -- --seconds 60     for so long instead of ten minutes
// Also takes --seed, which draws nodes and pauses. Prints one line of JSON and exits with 0 only if the counters with a
// fence are exact, and those without a fence, or without the lock, are not. Progress goes to standard error.
const { values } = parseArgs({
  options: { seconds: { type: 'string', default: '600' }, seed: { type: 'string' } },
  strict: true
})
const seconds = Number(values.seconds)
if (!Number.isSafeInteger(seconds) || seconds < 1) throw new RangeError('--seconds must be a whole number above 0')
const seed = Number(values.seed ?? randomInt(2 ** 31))
if (!Number.isSafeInteger(seed) || seed < 0) throw new RangeError('--seed must be a whole number')
const random = new SimRandom(seed, 'counters')

const result = await runCounters({
  program: fileURLToPath(new URL('counter-app.js', import.meta.url)),
  nodes: 5,
  forMs: seconds * 1_000,
  random: () => random.next(),
  onFault: (kind, node) => { process.stderr.write(`seed ${seed}, ${kind} ${node}\n`) }
})
process.stdout.write(`${JSON.stringify({ seed, ...result })}\n`)
const { counters } = result
const isExact = [counters.map, counters.file].every(({ accepted, value, missing }) =>
  accepted > 0 && accepted === value && missing.length === 0)
const showsLosses = [counters['map-unfenced'], counters['file-unfenced'], counters['file-unlocked']]
  .every(({ lost }) => lost > 0)
if (!isExact || !showsLosses) process.exitCode = 1
