import { fileURLToPath } from 'node:url'
import { readLongRun } from '../support/long-run.ts'
import { isFaultless, runOnceRounds } from '../support/once-rounds.ts'

// npm run test:once                        kills, pauses and hands over the leader while clients post, 200 times
// npm run test:once -- --rounds 10         so often
// Also takes --seed, which draws pauses and doors. Prints one line of JSON and exits with 0 only if no promise was
// broken. Progress goes to standard error.
const { count: rounds, seed, random } = readLongRun('rounds', 200, 'once')

// This file runs from build/test/cluster/tools.
const result = await runOnceRounds({
  program: fileURLToPath(new URL('../../../../dist/src/cli/main.js', import.meta.url)),
  app: fileURLToPath(new URL('ledger-app.js', import.meta.url)),
  rounds,
  random,
  onRound: (round, kind) => { process.stderr.write(`round ${round} of ${rounds}, seed ${seed}, ${kind}\n`) }
})
process.stdout.write(`${JSON.stringify({ seed, ...result })}\n`)
if (!isFaultless(result)) process.exitCode = 1
