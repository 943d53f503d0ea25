import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { LocalCluster } from '../../../src/cli/local/local-cluster.ts'
import { SimRandom } from '../../sim/random.ts'
import { runKillRounds } from '../support/kill-rounds.ts'
import { countOf, seedOf } from '../support/long-run.ts'

// npm run test:kill                         kills the leader, 100 times
// npm run test:kill -- --victim any         kills one of the three, drawn by --seed, 500 times
// Both take --rounds. Prints one line of JSON, with the seed that chose victims and pauses; what the clients and the
// machine make of them differs from run to run. Exits with 0 only if no promise was broken. Progress goes to standard
// error.
const { values } = parseArgs({
  options: { rounds: { type: 'string' }, victim: { type: 'string', default: 'leader' }, seed: { type: 'string' } },
  strict: true
})
const { victim } = values
if (victim !== 'leader' && victim !== 'any') throw new RangeError(`--victim must be leader or any, not "${victim}"`)
const rounds = countOf('rounds', values.rounds ?? (victim === 'leader' ? '100' : '500'))
const seed = seedOf(values.seed)
const random = new SimRandom(seed, 'kill')

// This file runs from build/test/cluster/tools.
const program = fileURLToPath(new URL('../../../../dist/src/cli/main.js', import.meta.url))
const cluster = await LocalCluster.start({ program, gateway: false })
try {
  const result = await runKillRounds(cluster, {
    rounds,
    victim,
    random: () => random.next(),
    onRound: (round) => { process.stderr.write(`round ${round} of ${rounds}, seed ${seed}\n`) }
  })
  process.stdout.write(`${JSON.stringify({ victim, seed, ...result })}\n`)
  if ([result.lost, result.doubled, result.leaders, result.diverged].some((faults) => faults.length > 0)) {
    process.exitCode = 1
  }
} finally {
  await cluster.stop()
}
