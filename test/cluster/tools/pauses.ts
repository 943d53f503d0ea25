import { randomInt } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { LocalCluster } from '../../../src/cli/local/local-cluster.ts'
import { SimRandom } from '../../sim/random.ts'
import { isFaultless } from '../support/fault-rounds.ts'
import { runPauseRounds } from '../support/pause-faults.ts'

// npm run test:pauses                      stops and continues one of three nodes, 60 times
// npm run test:pauses -- --rounds 6        so often
// Also takes --seed, which draws nodes, keys and pauses. Prints one line of JSON and exits with 0 only if no promise
// was broken. Progress goes to standard error.
const { values } = parseArgs({
  options: { rounds: { type: 'string', default: '60' }, seed: { type: 'string' } },
  strict: true
})
const rounds = Number(values.rounds)
if (!Number.isSafeInteger(rounds) || rounds < 1) throw new RangeError('--rounds must be a whole number above 0')
const seed = Number(values.seed ?? randomInt(2 ** 31))
if (!Number.isSafeInteger(seed) || seed < 0) throw new RangeError('--seed must be a whole number')
const random = new SimRandom(seed, 'pauses')

// This file runs from build/test/cluster/tools.
const program = fileURLToPath(new URL('../../../../dist/src/cli/main.js', import.meta.url))
const cluster = await LocalCluster.start({ program, gateway: false })
try {
  const result = await runPauseRounds(cluster, {
    rounds,
    random: () => random.next(),
    onRound: (round, kind) => { process.stderr.write(`round ${round} of ${rounds}, seed ${seed}, ${kind}\n`) }
  })
  process.stdout.write(`${JSON.stringify({ seed, ...result })}\n`)
  if (!isFaultless(result)) process.exitCode = 1
} finally {
  await cluster.stop()
}
