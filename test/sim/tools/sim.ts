import { closeSync, openSync, writeSync } from 'node:fs'
import { parseArgs } from 'node:util'
import type { PlanOverride } from '../plan.ts'
import { mergeOverrides } from '../plan.ts'
import type { RunOptions } from '../run-seed.ts'
import { FailingSeed, runSeed, traceSeed } from '../run-seed.ts'
import type { Schedule } from '../shrink.ts'
import { replayCommand, shrink } from '../shrink.ts'
import { combineHashes, runBatches, runMutants } from './batches.ts'

// npm run sim -- --seeds 500 [--seed 1] [--nodes 5] [--duration-ms 60000] [--workers 2]
//                                                      runs these seeds on worker processes;
//                                                      1 to 7 first members, and each seed another number unless told;
//                                                      --within-s 600 begins no more of them after that time
// npm run sim -- --trace FILE [--seed 1] [--crashes]   writes the protocol trace of one seed
// npm run sim -- --mutants [--seed 1] [--seeds 10000]  puts every known bug into a copy of the source, and sees
//                                                      it caught;
//                                                      --known tries the seeds known to show them first
// npm run sim -- --mutant D5 [--seed 1]                one of them, by its name or how that begins;
//                                                      shrinks what it finds
// npm run sim -- --replay SCHEDULE [--mutant NAME]     one schedule once more, as printed with a failure
// Prints one line of JSON; exits with 0 only if all is as it should be. Progress goes to standard error.
const { values } = parseArgs({
  options: {
    seeds: { type: 'string' },
    seed: { type: 'string', default: '1' },
    nodes: { type: 'string' },
    'duration-ms': { type: 'string' },
    'within-s': { type: 'string' },
    trace: { type: 'string' },
    crashes: { type: 'boolean', default: false },
    mutants: { type: 'boolean', default: false },
    known: { type: 'boolean', default: false },
    mutant: { type: 'string' },
    replay: { type: 'string' },
    workers: { type: 'string', default: '2' }
  },
  strict: true
})

const seedCount = wholeNumber(
  '--seeds',
  values.seeds ?? (values.mutants || values.mutant !== undefined ? '10000' : '500')
)
const firstSeed = wholeNumber('--seed', values.seed)
const workers = wholeNumber('--workers', values.workers)
const duration = values['duration-ms']
const within = values['within-s']
const plan: PlanOverride = {
  ...(values.nodes === undefined ? {} : { size: nodeCount(values.nodes) }),
  ...(duration === undefined ? {} : { durationUs: 1_000 * wholeNumber('--duration-ms', duration) })
}
if (values.replay !== undefined) await replay(values.replay)
else if (values.mutant !== undefined) await huntMutant(values.mutant)
else if (values.mutants) await huntMutants()
else if (values.trace !== undefined) await writeTrace(values.trace)
else await runSeeds()

function wholeNumber (name: string, text: string): number {
  const value = Number(text)
  if (!Number.isSafeInteger(value) || value < 1) throw new RangeError(`${name} must be a whole number above 0`)
  return value
}

function nodeCount (text: string): number {
  const count = wholeNumber('--nodes', text)
  if (count > 7) throw new RangeError('--nodes must be at most 7')
  return count
}

function say (line: string): void { process.stderr.write(`${line}\n`) }
function conclude (result: object): void { process.stdout.write(`${JSON.stringify(result)}\n`) }

async function runSeeds (): Promise<void> {
  const startedAt = performance.now()
  let failed = 0
  const range = {
    first: firstSeed,
    count: seedCount,
    plan,
    withinMs: within === undefined ? Infinity : 1_000 * wholeNumber('--within-s', within)
  }
  const { hashes, totals, failures } = await runBatches(workers, range, (done, batch) => {
    failed += batch.failures.length
    for (const { seed, message } of batch.failures) {
      say(
        `${message}\nthe whole seed: npm run sim -- --seeds 1 --seed ${seed}${values.nodes === undefined ? '' : ` --nodes ${values.nodes}`}${duration === undefined ? '' : ` --duration-ms ${duration}`}`
      )
    }
    say(
      `${done} of ${seedCount} seeds, ${failed} failed, after ${Math.round((performance.now() - startedAt) / 1_000)} s`
    )
  })
  const seconds = (performance.now() - startedAt) / 1_000
  const [first] = failures
  const shrunk = first === undefined ? null : await shrinkSeed(first.seed, { plan }, null)
  const { simulatedMs, cpuMs, ...counts } = totals
  const seeds = hashes.length + failures.length
  conclude({
    seeds,
    ...(seeds === seedCount ? {} : { skipped: seedCount - seeds }),
    firstSeed,
    ...(values.nodes === undefined ? {} : { nodes: plan.size }),
    ...counts,
    failures: failures.length,
    failedSeeds: failures.map(({ seed }) => seed),
    ...(shrunk === null ? {} : { replay: shrunk }),
    seconds: Math.round(seconds),
    seedsPerMinute: Math.round(60 * seeds / seconds),
    seedsPerMinuteAndCore: Math.round(60_000 * seeds / cpuMs),
    simulatedSeconds: Math.round(simulatedMs / 1_000),
    hash: combineHashes(hashes)
  })
  if (failures.length > 0) process.exitCode = 1
}

/** Finds a short schedule for a seed that fails, shows it, and returns the command that replays it. */
async function shrinkSeed (seed: number, options: RunOptions, mutant: string | null): Promise<string | null> {
  const failure = await failureOf(runSeed(seed, options))
  if (failure === null) return null
  const { schedule, failure: last, before, after, runs } = await shrink(failure, options)
  const command = replayCommand(schedule, mutant)
  say(
    `${last.message}\nshrunk in ${runs} runs: ${after} of ${before} interventions, ${(last.breakage.atUs / 1e6).toFixed(2)} of ${(failure.breakage.atUs / 1e6).toFixed(2)} simulated s\n${command}`
  )
  return command
}

async function failureOf (run: Promise<unknown>): Promise<FailingSeed | null> {
  try {
    await run
    return null
  } catch (error) {
    if (error instanceof FailingSeed) return error
    throw error
  }
}

async function replay (text: string): Promise<void> {
  const { seed, plan: schedulePlan, kept } = JSON.parse(text) as Schedule
  const options = values.mutant === undefined ? {} : (await mutantsLike(values.mutant))[0]?.options
  const failure = await failureOf(
    runSeed(seed, { ...options, plan: mergeOverrides(options?.plan ?? {}, schedulePlan), kept, traceLines: 200 })
  )
  if (failure !== null) say(failure.message)
  conclude({
    seed,
    broken: failure?.breakage.promise ?? null,
    atMs: failure === null ? null : failure.breakage.atUs / 1_000
  })
  if (failure !== null) process.exitCode = 1
}

async function writeTrace (file: string): Promise<void> {
  const descriptor = openSync(file, 'w')
  let lines = 0
  try {
    const { elections, crashes, simulatedMs, traceHash } = await traceSeed(firstSeed, values.crashes, (line) => {
      writeSync(descriptor, `${line}\n`)
      lines++
    })
    conclude({
      trace: file,
      seed: firstSeed,
      lines,
      elections,
      crashes,
      simulatedSeconds: Math.round(simulatedMs / 1_000),
      hash: traceHash
    })
  } finally {
    closeSync(descriptor)
  }
}

async function mutantsLike (
  beginning: string
): Promise<ReadonlyArray<{ readonly name: string; readonly options: RunOptions }>> {
  // Only here: a mutant is compiled from the source, which needs the compiler.
  const { optionsOf } = await import('../catch-mutant.ts')
  const { mutants } = await import('../mutants.ts')
  const exact = mutants.filter(({ name }) => name === beginning)
  const found = exact.length > 0 ? exact : mutants.filter(({ name }) => name.startsWith(`${beginning} `))
  if (found.length === 0) {
    throw new RangeError(
      `no mutant is called "${beginning}"; there are:\n${mutants.map(({ name }) => name).join('\n')}`
    )
  }
  return Promise.all(found.map(async (mutant) => ({ name: mutant.name, options: await optionsOf(mutant) })))
}

async function huntMutant (beginning: string): Promise<void> {
  const { firstFailure } = await import('../catch-mutant.ts')
  const results: object[] = []
  for (const { name, options } of await mutantsLike(beginning)) {
    const caught = await firstFailure(options, seedCount, undefined, firstSeed)
    if (caught === null) process.exitCode = 1
    const command = caught === null ? null : await shrinkSeed(caught.failure.seed, options, name)
    results.push({
      name,
      seeds: caught?.seeds ?? null,
      promise: caught?.failure.breakage.promise ?? null,
      replay: command
    })
  }
  conclude({ mutants: results })
}

async function huntMutants (): Promise<void> {
  const { mutants } = await import('../mutants.ts')
  const results = await runMutants(
    workers,
    mutants.map(({ name }) => name),
    values.known ? null : firstSeed,
    seedCount,
    ({ name, caught }) => {
      say(`${name}: ${caught === null ? 'NOT CAUGHT' : `${caught.message} (after ${caught.seeds})`}`)
    }
  )
  const seeds = results.flatMap(({ caught }) => caught?.seeds ?? []).sort((left, right) => left - right)
  const missed = results.filter(({ caught }) => caught === null).map(({ name }) => name)
  // The bugs D1 to D28, some of them in several places, and some more.
  const listed = (names: readonly string[]): number => new Set(names.flatMap((name) => /^D\d+/.exec(name) ?? [])).size
  conclude({
    mutants: results.length,
    caught: seeds.length,
    missed,
    listed: listed(results.map(({ name }) => name)),
    listedCaught: listed(results.map(({ name }) => name)) - listed(missed),
    knownSeedsFirst: values.known,
    medianSeeds: seeds[Math.floor(seeds.length / 2)] ?? null,
    mostSeeds: seeds.at(-1) ?? null
  })
  if (missed.length > 0) process.exitCode = 1
}
