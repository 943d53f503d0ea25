import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { killJoiners } from '../support/join-kills.ts'
import { MovingCluster } from '../support/moving-cluster.ts'

// npm run test:join -- --moments 30
// A node joins three others under write load and is killed on the way, each time at another moment. Prints one line of
// JSON; exits with 0 only if it became a voter each time and no promise was broken. Progress goes to standard error.
const { values } = parseArgs({
  options: { moments: { type: 'string', default: '30' }, entries: { type: 'string', default: '40000' } },
  strict: true
})
function numberOf (name: 'moments' | 'entries'): number {
  const number = Number(values[name])
  if (!Number.isSafeInteger(number) || number < 1) throw new RangeError(`--${name} must be a whole number above 0`)
  return number
}

// This file runs from build/test/cluster/tools.
const program = fileURLToPath(new URL('../../../../dist/src/cli/main.js', import.meta.url))
const cluster = await MovingCluster.start(program, 3, 4)
try {
  const result = await killJoiners(cluster, {
    moments: numberOf('moments'),
    entries: numberOf('entries'),
    onMoment: (what) => { process.stderr.write(`${what}\n`) }
  })
  process.stdout.write(`${JSON.stringify(result)}\n`)
  if ([result.failed, result.lost, result.doubled, result.diverged].some((faults) => faults.length > 0)) {
    process.exitCode = 1
  }
} finally {
  await cluster.stop()
}
