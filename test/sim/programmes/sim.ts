import { closeSync, openSync, writeSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { traceSeed } from '../run-seed.ts'
import { combineHashes, runBatches } from './batches.ts'

// npm run sim -- --seeds 500 [--seed 1]        runs these seeds on two processes
// npm run sim -- --trace FILE [--seed 1] [--crashes]   writes the protocol trace of one seed
// npm run sim -- --mutants                     puts every known bug into a copy of the core and sees it caught
// Prints one line of JSON; exits with 0 only if all is as it should be. Progress goes to standard error.
const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '500' },
    seed: { type: 'string', default: '1' },
    trace: { type: 'string' },
    crashes: { type: 'boolean', default: false },
    mutants: { type: 'boolean', default: false }
  },
  strict: true
})

const seedCount = wholeNumber('--seeds', values.seeds)
const firstSeed = wholeNumber('--seed', values.seed)
if (values.mutants) await runMutants()
else if (values.trace !== undefined) writeTrace(values.trace)
else await runSeeds()

function wholeNumber (name: string, text: string): number {
  const value = Number(text)
  if (!Number.isSafeInteger(value) || value < 1) throw new RangeError(`${name} must be a whole number above 0`)
  return value
}

function say (line: string): void { process.stderr.write(`${line}\n`) }
function conclude (result: object): void { process.stdout.write(`${JSON.stringify(result)}\n`) }

async function runSeeds (): Promise<void> {
  const startedAt = performance.now()
  const { hashes, totals, failures } = await runBatches(firstSeed, seedCount, (done, batch) => {
    for (const { seed, message } of batch.failures) say(`${message}\nreplay: npm run sim -- --seeds 1 --seed ${seed}`)
    say(`${done} of ${seedCount} seeds`)
  })
  const seconds = (performance.now() - startedAt) / 1_000
  const { simulatedMs, ...counts } = totals
  conclude({
    seeds: seedCount,
    firstSeed,
    ...counts,
    failures: failures.length,
    failedSeeds: failures.map(({ seed }) => seed),
    seconds: Math.round(seconds),
    seedsPerMinute: Math.round(60 * seedCount / seconds),
    simulatedSeconds: Math.round(simulatedMs / 1_000),
    hash: combineHashes(hashes)
  })
  if (failures.length > 0) process.exitCode = 1
}

function writeTrace (file: string): void {
  const descriptor = openSync(file, 'w')
  let lines = 0
  try {
    const { elections, crashes, simulatedMs, traceHash } = traceSeed(firstSeed, values.crashes, (line) => {
      writeSync(descriptor, `${line}\n`)
      lines++
    })
    conclude({ trace: file, seed: firstSeed, lines, elections, crashes, simulatedSeconds: Math.round(simulatedMs / 1_000), hash: traceHash })
  } finally {
    closeSync(descriptor)
  }
}

async function runMutants (): Promise<void> {
  // Only here: a mutant is compiled from the source, which needs the compiler.
  const { catchMutant } = await import('../catch-mutant.ts')
  const { mutants } = await import('../mutants.ts')
  const seeds: number[] = []
  const missed: string[] = []
  for (const mutant of mutants) {
    const caught = await catchMutant(mutant, 10_000)
    if (caught === null) missed.push(mutant.name)
    else seeds.push(caught.seeds)
    say(`${mutant.name}: ${caught === null ? 'NOT CAUGHT' : `${caught.failure.message.split('\n', 1)[0] ?? ''} (after ${caught.seeds})`}`)
  }
  seeds.sort((left, right) => left - right)
  // A known seed is tried first, and then counts as one: the numbers say how long the proof takes, not a search from nothing.
  const withKnownSeed = mutants.filter((mutant) => mutant.seed !== undefined).length
  conclude({ mutants: mutants.length, caught: seeds.length, missed, withKnownSeed, medianSeeds: seeds[Math.floor(seeds.length / 2)] ?? null, mostSeeds: seeds.at(-1) ?? null })
  if (missed.length > 0) process.exitCode = 1
}
