import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { startGateway } from '../support/gateway-process.ts'
import { transfer } from '../support/large-bodies.ts'
import { NotesCluster } from '../support/notes-cluster.ts'

// Sends a large body up and down over a follower and over a gateway, with slow ends, and prints by how much their
// memory grew: `npm run test:large -- --mebibytes 1024`.
const { values } = parseArgs({ options: { mebibytes: { type: 'string', default: '1024' } }, strict: true })
const mebibyte = 1_048_576
const bytes = Number(values.mebibytes) * mebibyte
const maxGrowth = 32 * mebibyte

// This file runs from build/test/cluster/tools.
const program = fileURLToPath(new URL('../../../../dist/src/cli/main.js', import.meta.url))
const cluster = await NotesCluster.start({ program: fileURLToPath(new URL('notes-app.js', import.meta.url)) })
const { child, url } = await startGateway(program, cluster)
try {
  const [follower] = await cluster.followers()
  if (follower === undefined) throw new Error('a cluster of three')
  const gateway = { name: 'gateway', url, pid: child.pid ?? 0 }
  for (const carrier of [{ name: 'follower', url: follower.url, pid: follower.child.pid ?? 0 }, gateway]) {
    for (const direction of ['up', 'down'] as const) {
      await transfer(carrier, direction, 32 * mebibyte)
      const { seconds, growth } = await transfer(carrier, direction, bytes)
      const grown = `${(growth / mebibyte).toFixed(1)} MiB`
      process.stdout.write(`${carrier.name} ${direction}: ${values.mebibytes} MiB in ${seconds.toFixed(1)} s, grew by ${grown}\n`)
      if (growth > maxGrowth) process.exitCode = 1
    }
  }
} finally {
  await child.stop(6_000)
  await cluster.stop()
}
