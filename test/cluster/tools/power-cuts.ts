import { randomInt } from 'node:crypto'
import { parseArgs } from 'node:util'
import { SimRandom } from '../../sim/random.ts'
import { isUnharmed, runPowerCuts } from '../support/power-cut-rounds.ts'

// npm run test:power-cuts                      cuts the power of all three nodes at once, 200 times
// npm run test:power-cuts -- --rounds 5        so often
// Also takes --seed, which draws moments and what the disks keep. Prints one line of JSON and exits with 0 only if no
// promise was broken. Progress goes to standard error.
const { values } = parseArgs({
  options: { rounds: { type: 'string', default: '200' }, seed: { type: 'string' } },
  strict: true
})
const rounds = Number(values.rounds)
if (!Number.isSafeInteger(rounds) || rounds < 1) throw new RangeError('--rounds must be a whole number above 0')
const seed = Number(values.seed ?? randomInt(2 ** 31))
if (!Number.isSafeInteger(seed) || seed < 0) throw new RangeError('--seed must be a whole number')
const random = new SimRandom(seed, 'power')

const result = await runPowerCuts({
  rounds,
  random: () => random.next(),
  onRound: (round) => { process.stderr.write(`round ${round} of ${rounds}, seed ${seed}\n`) }
})
process.stdout.write(`${JSON.stringify({ seed, ...result })}\n`)
if (!isUnharmed(result)) process.exitCode = 1
