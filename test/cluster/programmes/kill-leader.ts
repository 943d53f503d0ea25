import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { LocalCluster } from '../../../src/cli/local-cluster.ts'
import { runKillRounds } from '../support/kill-rounds.ts'

// npm run test:kill -- --rounds 100
// Prints one line of JSON; exits with 0 only if no promise was broken. Progress goes to standard error.
const { values } = parseArgs({ options: { rounds: { type: 'string', default: '100' } }, strict: true })
const rounds = Number(values.rounds)
if (!Number.isSafeInteger(rounds) || rounds < 1) throw new RangeError('--rounds must be a whole number above 0')

// This file runs from build/test/cluster/programmes.
const program = fileURLToPath(new URL('../../../../dist/cli/main.js', import.meta.url))
const cluster = await LocalCluster.start({ program, gateway: false })
try {
  const result = await runKillRounds(cluster, rounds, Math.random, (round) => { process.stderr.write(`round ${round} of ${rounds}\n`) })
  process.stdout.write(`${JSON.stringify(result)}\n`)
  if ([result.lost, result.doubled, result.leaders, result.diverged].some((faults) => faults.length > 0)) process.exitCode = 1
} finally {
  await cluster.stop()
}
