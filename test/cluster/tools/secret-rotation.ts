import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { RotatingCluster } from '../support/secret-rotation.ts'

// npm run test:rotation                      replaces the secret of three copies under 500 requests a second through
//                                            followers, twice, in three steps each; then gives it to one copy alone
// npm run test:rotation -- --length short    once
// Also takes --per-second. Prints one line of JSON for each, and exits with 0 only if no request failed and nobody else
// was elected.
const { values } = parseArgs({
  options: { length: { type: 'string', default: 'long' }, 'per-second': { type: 'string', default: '500' } },
  strict: true
})
const { length } = values
if (length !== 'short' && length !== 'long') throw new RangeError(`--length must be short or long, not "${length}"`)
const perSecond = Number(values['per-second'])
if (!(perSecond > 0)) throw new RangeError('--per-second must be a number above 0')

const rotating = await RotatingCluster.start(fileURLToPath(new URL('notes-app.js', import.meta.url)))
try {
  const results = [
    await rotating.rotate({ rounds: length === 'short' ? 1 : 2, perSecond }),
    await rotating.rotateInWrongOrder(perSecond)
  ]
  for (const result of results) {
    process.stdout.write(`${JSON.stringify(result)}\n`)
    const sameLeader = result.leadersBefore.join() === result.leadersAfter.join()
    if (result.failures.length > 0 || !sameLeader) process.exitCode = 1
  }
} finally {
  await rotating.stop()
}
