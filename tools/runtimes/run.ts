import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { delimiter, join } from 'node:path'
import { parseArgs } from 'node:util'
import { installRuntime, type Runtime } from './install.ts'
import { majors as allMajors, planOf, type Suite } from './plan.ts'

// npm run test:runtimes                        unit and process tests on every major version; about an hour
// npm run test:runtimes -- --length short      a few files on the oldest and the newest; some four minutes
// npm run test:runtimes -- --majors 22,24      these alone
// Prints what is left out and why, and at the end one line of JSON. Exits with 0 only if every test passed that ran
// and, in the long form, if every version could be installed.
const { values } = parseArgs({
  options: { length: { type: 'string', default: 'long' }, majors: { type: 'string' } },
  strict: true
})
const { length } = values
if (length !== 'short' && length !== 'long') throw new RangeError(`--length must be short or long, not "${length}"`)
const plan = planOf(length)
const majors = values.majors?.split(',').map(Number) ?? plan.majors
const unknown = majors.filter((major) => !allMajors.includes(major))
if (unknown.length > 0) throw new RangeError(`--majors must be of ${allMajors.join(', ')}, not ${unknown.join(', ')}`)

interface SuiteResult {
  readonly major: number
  readonly version: string
  readonly project: string
  readonly passed: boolean
  readonly elapsedMs: number
}

type Installed = Extract<Runtime, { kind: 'installed' }>

const running = new Set<number>()
process.on('exit', () => { for (const pid of running) killGroup(pid) })
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => { process.exit(130) })

for (const what of plan.leftOut) skip(what)
const results: SuiteResult[] = []
const missing: string[] = []
for (const major of majors) {
  const runtime = await installRuntime(major)
  if (runtime.kind === 'missing') {
    missing.push(`Node.js ${major}`)
    skip(`Node.js ${major}: ${runtime.why}`)
    continue
  }
  for (const suite of plan.suites) results.push(await runSuite(runtime, suite))
}
process.stdout.write(`${JSON.stringify({ length, results, missing })}\n`)
const isComplete = missing.length === 0 || length === 'short'
if (!isComplete || results.some(({ passed }) => !passed)) process.exitCode = 1

/** Runs vitest, and all that the tests start by the name of `node`, on one version. */
async function runSuite (runtime: Installed, { project, files }: Suite): Promise<SuiteResult> {
  const { major, version, directory } = runtime
  process.stdout.write(`\nNode.js ${version}: ${project}${files.length === 0 ? '' : ` (${files.join(', ')})`}\n`)
  const startedMs = performance.now()
  const vitest = join('node_modules', 'vitest', 'vitest.mjs')
  const child = spawn(join(directory, 'node'), [vitest, 'run', '--project', project, ...files], {
    env: { ...process.env, PATH: `${directory}${delimiter}${process.env.PATH ?? ''}` },
    stdio: ['ignore', 'inherit', 'inherit'],
    // A group of its own, so that nothing that it started outlives the time.
    detached: true
  })
  const pid = child.pid
  if (pid !== undefined) running.add(pid)
  const timer = setTimeout(() => {
    process.stdout.write(`${project} took longer than ${plan.suiteTimeoutMs} ms on ${version} and is ended\n`)
    if (pid !== undefined) killGroup(pid)
  }, plan.suiteTimeoutMs)
  try {
    const [code] = await once(child, 'exit') as [number | null]
    return { major, version, project, passed: code === 0, elapsedMs: Math.round(performance.now() - startedMs) }
  } finally {
    clearTimeout(timer)
    if (pid !== undefined) running.delete(pid)
  }
}

function killGroup (pid: number): void {
  try {
    process.kill(-pid, 'SIGKILL')
  } catch {
    // Ended meanwhile.
  }
}

function skip (what: string): void {
  process.stdout.write(`SKIPPED: ${what}\n`)
}
