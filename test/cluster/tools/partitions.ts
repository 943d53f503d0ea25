import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { SimRandom } from '../../sim/random.ts'
import { isFaultless } from '../support/fault-rounds.ts'
import { countOf, seedOf } from '../support/long-run.ts'
import { endWithParent, hasNamespaces, runInNamespaces } from '../support/namespaces.ts'
import { runPartitionRounds } from '../support/partition-rounds.ts'

// npm run test:partitions                      cuts the network of three nodes 40 times, and that of five 30 times
// npm run test:partitions -- --rounds 4        so often each
// npm run test:partitions -- --size 5          those of five alone
// Also takes --seed, which draws nodes, keys and pauses. Runs in namespaces of its own, as root or where a user may
// make some. Prints one line of JSON for each size and exits with 0 only if no promise was broken, and with 2 where
// namespaces are not permitted, saying why. Progress goes to standard error.
type Size = 3 | 5
const { values } = parseArgs({
  options: {
    rounds: { type: 'string' },
    size: { type: 'string' },
    seed: { type: 'string' },
    /** Only from this program to itself, within the namespaces: where data and logs go. */
    directory: { type: 'string' }
  },
  strict: true
})
const size = sizeOf(values.size)
const rounds = values.rounds === undefined ? null : countOf('rounds', values.rounds)
const seed = seedOf(values.seed)

const usualRounds: Readonly<Record<Size, number>> = { 3: 40, 5: 30 }
/** Several times what a round takes on two busy cores. */
const roundTimeoutMs = 30_000
const startTimeoutMs = 120_000

endWithParent()
if (values.directory === undefined || size === null || rounds === null) await enterNamespaces()
else await cutFromWithin(values.directory, size, rounds)

function sizeOf (text: string | undefined): Size | null {
  switch (text) {
    case undefined: return null
    case '3': return 3
    case '5': return 5
    default: throw new RangeError(`--size must be 3 or 5, not "${text}"`)
  }
}

async function enterNamespaces (): Promise<void> {
  if (!hasNamespaces()) return
  const sizes: readonly Size[] = size === null ? [3, 5] : [size]
  for (const nodes of sizes) {
    const directory = await mkdtemp(join(tmpdir(), 'fastify-raft-partitions-'))
    try {
      const number = rounds ?? usualRounds[nodes]
      const { code, output } = await runInNamespaces([
        process.execPath, fileURLToPath(import.meta.url),
        '--directory', directory, '--size', String(nodes), '--rounds', String(number), '--seed', String(seed)
      ], startTimeoutMs + number * roundTimeoutMs)
      process.stdout.write(output)
      if (code !== 0) process.exitCode = 1
    } finally {
      await rm(directory, { recursive: true, force: true })
    }
  }
}

async function cutFromWithin (directory: string, nodes: Size, number: number): Promise<void> {
  const random = new SimRandom(seed, 'partitions')
  // This file runs from build/test/cluster/tools.
  const program = fileURLToPath(new URL('../../../../dist/src/cli/main.js', import.meta.url))
  const result = await runPartitionRounds({
    program,
    directory,
    size: nodes,
    rounds: number,
    random: () => random.next(),
    onRound: (round, kind) => { process.stderr.write(`round ${round} of ${number}, seed ${seed}, ${kind}\n`) }
  })
  process.stdout.write(`${JSON.stringify({ nodes, seed, ...result })}\n`)
  if (!isFaultless(result)) process.exitCode = 1
}
