import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { runRollingRestart } from '../support/rolling-restart.ts'

// npm run test:rolling                       restarts three copies three times each, under load: handlers that work for
//                                            100 ms, and handlers that work for 2 s with a closeTimeoutMs of 5 s
// npm run test:rolling -- --length short     once each, handlers of 100 ms alone
// Prints one line of JSON for each, and exits with 0 only if no request failed, no answered write is missing and every
// copy ended by itself. Progress goes to standard error.
const { values } = parseArgs({ options: { length: { type: 'string', default: 'full' } }, strict: true })
const { length } = values
if (length !== 'short' && length !== 'full') throw new RangeError(`--length must be short or full, not "${length}"`)
const rounds = length === 'short' ? 1 : 3
const quick = { workMs: 100, closeTimeoutMs: 8_000, clients: 8 }
const slow = { workMs: 2_000, closeTimeoutMs: 5_000, clients: 64 }

for (const work of length === 'short' ? [quick] : [quick, slow]) {
  const result = await runRollingRestart({
    ...work,
    program: fileURLToPath(new URL('working-app.js', import.meta.url)),
    rounds,
    onRestart: (exit) => { process.stderr.write(`${JSON.stringify(exit)}\n`) }
  })
  process.stdout.write(`${JSON.stringify({ ...work, rounds, ...result })}\n`)
  const { failures, lost, exits, idleExits } = result
  if (failures.length + lost.length > 0 || [...exits, ...idleExits].some(({ code }) => code !== 0)) process.exitCode = 1
}
