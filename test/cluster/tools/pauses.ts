import { fileURLToPath } from 'node:url'
import { LocalCluster } from '../../../src/cli/local/local-cluster.ts'
import { isFaultless } from '../support/fault-rounds.ts'
import { readLongRun } from '../support/long-run.ts'
import { runPauseRounds } from '../support/pause-faults.ts'

// npm run test:pauses                      stops and continues one of three nodes, 60 times
// npm run test:pauses -- --rounds 6        so often
// Also takes --seed, which draws nodes, keys and pauses. Prints one line of JSON and exits with 0 only if no promise
// was broken. Progress goes to standard error.
const { count: rounds, seed, random } = readLongRun('rounds', 60, 'pauses')

// This file runs from build/test/cluster/tools.
const program = fileURLToPath(new URL('../../../../dist/src/cli/main.js', import.meta.url))
const cluster = await LocalCluster.start({ program, gateway: false })
try {
  const result = await runPauseRounds(cluster, {
    rounds,
    random,
    onRound: (round, kind) => { process.stderr.write(`round ${round} of ${rounds}, seed ${seed}, ${kind}\n`) }
  })
  process.stdout.write(`${JSON.stringify({ seed, ...result })}\n`)
  if (!isFaultless(result)) process.exitCode = 1
} finally {
  await cluster.stop()
}
