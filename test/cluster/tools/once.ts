import { randomInt } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { SimRandom } from '../../sim/random.ts'
import { isFaultless, runOnceRounds } from '../support/once-rounds.ts'

// npm run test:once                        kills, pauses and hands over the leader while clients post, 200 times
// npm run test:once -- --rounds 10         so often
// Also takes --seed, which draws pauses and doors. Prints one line of JSON and exits with 0 only if no promise was
// broken. Progress goes to standard error.
const { values } = parseArgs({
  options: { rounds: { type: 'string', default: '200' }, seed: { type: 'string' } },
  strict: true
})
const rounds = Number(values.rounds)
if (!Number.isSafeInteger(rounds) || rounds < 1) throw new RangeError('--rounds must be a whole number above 0')
const seed = Number(values.seed ?? randomInt(2 ** 31))
if (!Number.isSafeInteger(seed) || seed < 0) throw new RangeError('--seed must be a whole number')
const random = new SimRandom(seed, 'once')

// This file runs from build/test/cluster/tools.
const result = await runOnceRounds({
  program: fileURLToPath(new URL('../../../../dist/src/cli/main.js', import.meta.url)),
  app: fileURLToPath(new URL('ledger-app.js', import.meta.url)),
  rounds,
  random: () => random.next(),
  onRound: (round, kind) => { process.stderr.write(`round ${round} of ${rounds}, seed ${seed}, ${kind}\n`) }
})
process.stdout.write(`${JSON.stringify({ seed, ...result })}\n`)
if (!isFaultless(result)) process.exitCode = 1
