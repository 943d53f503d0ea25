import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { countOf } from '../support/long-run.ts'
import { MovingCluster } from '../support/moving-cluster.ts'
import { replaceMembers } from '../support/replace-members.ts'

// npm run test:members -- --rounds 10
// Three nodes grow to five and shrink to three others, once a round, under write load. Prints one line of JSON; exits
// with 0 only if no promise was broken. Progress goes to standard error.
const { values } = parseArgs({ options: { rounds: { type: 'string', default: '10' } }, strict: true })
const rounds = countOf('rounds', values.rounds)

/** Three election timeouts, the longest that the nodes use. */
const allowedStallMs = 3_000

// This file runs from build/test/cluster/tools.
const program = fileURLToPath(new URL('../../../../dist/src/cli/main.js', import.meta.url))
const cluster = await MovingCluster.start(program, 3, 5)
try {
  const result = await replaceMembers(cluster, rounds, Math.random, (members) => {
    process.stderr.write(`members are ${members}\n`)
  })
  process.stdout.write(`${JSON.stringify({ ...result, allowedStallMs })}\n`)
  const broken = [result.lost, result.doubled, result.diverged].some((faults) => faults.length > 0)
  if (broken || result.longestStallMs > allowedStallMs) process.exitCode = 1
} finally {
  await cluster.stop()
}
