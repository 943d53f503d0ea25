import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { killJoiners } from '../support/join-kills.ts'
import { countOf } from '../support/long-run.ts'
import { MovingCluster } from '../support/moving-cluster.ts'

// npm run test:join -- --moments 30
// A node joins three others under write load and is killed on the way, each time at another moment. Prints one line of
// JSON; exits with 0 only if it became a voter each time and no promise was broken. Progress goes to standard error.
const { values } = parseArgs({
  options: { moments: { type: 'string', default: '30' }, entries: { type: 'string', default: '40000' } },
  strict: true
})

// This file runs from build/test/cluster/tools.
const program = fileURLToPath(new URL('../../../../dist/src/cli/main.js', import.meta.url))
const cluster = await MovingCluster.start(program, 3, 4)
try {
  const result = await killJoiners(cluster, {
    moments: countOf('moments', values.moments),
    entries: countOf('entries', values.entries),
    onMoment: (what) => { process.stderr.write(`${what}\n`) }
  })
  process.stdout.write(`${JSON.stringify(result)}\n`)
  if ([result.failed, result.lost, result.doubled, result.diverged].some((faults) => faults.length > 0)) {
    process.exitCode = 1
  }
} finally {
  await cluster.stop()
}
