import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { countOf } from '../support/long-run.ts'
import { runTaskRounds } from '../support/task-rounds.ts'

// npm run test:tasks                     restarts three copies 20 times each, under load, each of which drains first
// npm run test:tasks -- --rounds 2       so many times
// Prints one line of JSON, and exits with 0 only if no run of the singleton overlapped with another one or began more
// than 500 ms after the last one had ended, and no request failed. Progress goes to standard error.
const { values } = parseArgs({ options: { rounds: { type: 'string', default: '20' } }, strict: true })
const rounds = countOf('rounds', values.rounds)
const result = await runTaskRounds({
  program: fileURLToPath(new URL('working-app.js', import.meta.url)),
  rounds,
  onRestart: (exit) => { process.stderr.write(`${JSON.stringify(exit)}\n`) }
})
process.stdout.write(`${JSON.stringify(result)}\n`)
const { overlaps, longestGapMs, failures, lost, badExits } = result
if (overlaps.length + failures.length + lost.length + badExits > 0 || longestGapMs > 500) process.exitCode = 1
