import { readLongRun } from '../support/long-run.ts'
import { isUnharmed, runPowerCuts } from '../support/power-cut-rounds.ts'

// npm run test:power-cuts                      cuts the power of all three nodes at once, 200 times
// npm run test:power-cuts -- --rounds 5        so often
// Also takes --seed, which draws moments and what the disks keep. Prints one line of JSON and exits with 0 only if no
// promise was broken. Progress goes to standard error.
const { count: rounds, seed, random } = readLongRun('rounds', 200, 'power')

const result = await runPowerCuts({
  rounds,
  random,
  onRound: (round) => { process.stderr.write(`round ${round} of ${rounds}, seed ${seed}\n`) }
})
process.stdout.write(`${JSON.stringify({ seed, ...result })}\n`)
if (!isUnharmed(result)) process.exitCode = 1
