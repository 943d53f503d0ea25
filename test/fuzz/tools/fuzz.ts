import { parseArgs } from 'node:util'
import type { CampaignReport, Failure, Tally } from '../campaign.ts'
import { Campaign, randomAt, replay, targetAt } from '../campaign.ts'
import { parseInput, printInput } from '../print.ts'
import { targets } from '../targets.ts'
import { Watchdog } from '../watchdog.ts'

// npm run fuzz -- --inputs 20000 [--seed 1] [--from 0] [--target NAME]
//                                                gives so many inputs to all targets, or to one
// npm run fuzz -- --index 17 --seed 1            prints one input of a seed, and what becomes of it
// npm run fuzz -- --target NAME --replay INPUT   one input once more, as printed with a failure
// Exits with 0 only if every rule held. Progress goes to standard error.
const { values } = parseArgs({
  options: {
    inputs: { type: 'string', default: '20000' },
    seed: { type: 'string', default: '1' },
    from: { type: 'string', default: '0' },
    index: { type: 'string' },
    target: { type: 'string' },
    replay: { type: 'string' }
  },
  strict: true
})

const seed = wholeNumber('--seed', values.seed)
const chosen = values.target === undefined ? targets : targets.filter(({ name }) => name === values.target)
if (chosen.length === 0) {
  const names = targets.map(({ name }) => name).join(', ')
  throw new RangeError(`no target is called "${values.target}"; there are: ${names}`)
}
if (values.replay !== undefined) await replayInput(values.replay)
else if (values.index !== undefined) await replayPlace(wholeNumber('--index', values.index))
else await runCampaign()

function wholeNumber (name: string, text: string): number {
  const value = Number(text)
  if (!Number.isSafeInteger(value) || value < 0) throw new RangeError(`${name} must be a whole number`)
  return value
}

function say (line: string): void { process.stderr.write(`${line}\n`) }
function tell (line: string): void { process.stdout.write(`${line}\n`) }

async function runCampaign (): Promise<void> {
  const inputs = wholeNumber('--inputs', values.inputs)
  const from = wholeNumber('--from', values.from)
  const watchdog = new Watchdog(`no end in sight: npm run fuzz -- --seed ${seed} --index `)
  const startedMs = performance.now()
  const seconds = (): number => Math.round((performance.now() - startedMs) / 1_000)
  const report = await new Campaign({
    targets: chosen,
    seed,
    inputs,
    from,
    failed: (failure) => { tell(describe(failure)) },
    begins: (index) => { watchdog.begins(index) },
    progress: (done, failures) => {
      if (done % 10_000 === 0) say(`${done - from} of ${inputs} inputs, ${failures.length} failures, after ${seconds()} s`)
    }
  }).run()
  await watchdog.stop()
  for (const [name, tally] of Object.entries(report.tallies)) tell(line(name, tally))
  conclude(report, inputs, seconds())
}

function conclude ({ tallies, failures, memoryBytes }: CampaignReport, inputs: number, seconds: number): void {
  const mebibytes = memoryBytes.map((bytes) => Math.round(bytes / 1_048_576))
  // The first two were measured before everything that stays had been made.
  const warm = mebibytes.slice(2)
  if (warm.length > 0) tell(`memory in use, in MiB: ${warm[0]} when warm, ${Math.max(...warm)} at most, ${warm.at(-1)} at the end`)
  const open = process.getActiveResourcesInfo().filter((name) => !name.includes('TTY') && !name.includes('Pipe'))
  const missing = Object.entries(tallies).filter(([, { accepted, refused }]) =>
    Object.keys(accepted).length === 0 || Object.keys(refused).length === 0).map(([name]) => name)
  tell(JSON.stringify({ inputs, seed, failures: failures.length, shallow: missing, openHandles: open, seconds }))
  // A run of a few inputs reaches not everything.
  const isDeep = inputs < 5_000 || missing.length === 0
  if (failures.length > 0 || open.length > 0 || !isDeep) process.exitCode = 1
}

/** Inputs of a target, and by which words they were accepted and refused. */
function line (name: string, { inputs, accepted, refused }: Tally): string {
  const counts = (found: Readonly<Record<string, number>>): string =>
    Object.entries(found).sort(([, one], [, other]) => other - one).map(([word, count]) => `${word} ${count}`).join(', ')
  return `${name}: ${inputs} inputs; accepted: ${counts(accepted)}; refused: ${counts(refused)}`
}

/** A failure, and the test that keeps it. */
function describe ({ target, index, message, input, shrunk }: Failure): string {
  const found = `${target}, input ${index} of seed ${seed}: ${message}\ninput: ${input}`
  if (shrunk === null) return `${found}\nit fails only after those before it: npm run fuzz -- --seed ${seed} --target ${target}`
  return `${found}\n\nit('${target} ...', async () => {\n  await replayed('${target}', ${JSON.stringify(shrunk)})\n})\n`
}

async function replayPlace (index: number): Promise<void> {
  const target = targetAt(chosen, seed, index)
  const fuzzed = await target.open()
  const input = fuzzed.make(randomAt(seed, target.name, index))
  await fuzzed.close()
  tell(`${target.name}: ${printInput(input)}`)
  tell(JSON.stringify(await replay(target, input)))
}

async function replayInput (text: string): Promise<void> {
  const [target] = chosen
  if (target === undefined || values.target === undefined) throw new RangeError('--replay needs --target')
  tell(JSON.stringify(await replay(target, parseInput(text))))
}
