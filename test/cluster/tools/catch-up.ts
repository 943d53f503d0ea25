import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { LocalCluster } from '../../../src/cli/local/local-cluster.ts'
import { runCatchUp } from '../support/catch-up.ts'

// npm run test:catch-up -- --entries 200000 --rate 500
// Prints one line of JSON; exits with 0 only if nothing was lost, the nodes agree, and none held over 300 MiB.
const { values } = parseArgs({
  options: {
    entries: { type: 'string', default: '200000' },
    rate: { type: 'string', default: '500' },
    'value-bytes': { type: 'string', default: '200' },
    keys: { type: 'string', default: '20000' },
    /** An existing directory for data and logs, kept at the end. */
    'data-dir': { type: 'string' }
  },
  strict: true
})
function numberOf (name: 'entries' | 'rate' | 'value-bytes' | 'keys'): number {
  const number = Number(values[name])
  if (!Number.isSafeInteger(number) || number < 1) throw new RangeError(`--${name} must be a whole number above 0`)
  return number
}
const maxMiB = 300

// This file runs from build/test/cluster/tools.
const program = fileURLToPath(new URL('../../../../dist/src/cli/main.js', import.meta.url))
const cluster = await LocalCluster.start({ program, gateway: false, dataDir: values['data-dir'] ?? null })
try {
  const result = await runCatchUp(cluster, {
    entries: numberOf('entries'),
    rate: numberOf('rate'),
    valueBytes: numberOf('value-bytes'),
    keys: numberOf('keys'),
    onProgress: (what) => { process.stderr.write(`${what}\n`) }
  })
  process.stdout.write(`${JSON.stringify(result)}\n`)
  const { lost, diverged, snapshotsSent, meanwhile, peakMiB } = result
  const isGood =
    lost.length === 0 &&
    diverged.length === 0 &&
    snapshotsSent > 0 &&
    meanwhile.failed === 0 &&
    Object.values(peakMiB).every((peak) => peak < maxMiB)
  if (!isGood) process.exitCode = 1
} finally {
  await cluster.stop()
}
