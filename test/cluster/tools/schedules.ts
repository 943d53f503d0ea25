import { fileURLToPath } from 'node:url'
import { readLongRun } from '../support/long-run.ts'
import { fakeTimeLibrary, runSchedules } from '../support/schedule-rounds.ts'

// npm run test:schedules                     kills, stops, transfers and restarts five nodes for ten minutes
// npm run test:schedules -- --seconds 60     for so long
// Their wall clocks are minutes apart where libfaketime is installed. Also takes --seed, which draws faults and clocks.
// Prints one line of JSON and exits with 0 only if no attempt began twice, no slot was accepted twice, and none of the
// schedule with at-least-once was missed. Progress goes to standard error.
const { count: seconds, seed, random } = readLongRun('seconds', 600, 'schedules')
const movesClocks = fakeTimeLibrary() !== null
if (!movesClocks) process.stderr.write('SKIPPED: clocks that are apart, because libfaketime is not installed\n')

const result = await runSchedules({
  program: fileURLToPath(new URL('schedule-app.js', import.meta.url)),
  nodes: 5,
  forMs: seconds * 1_000,
  kinds: ['kill', 'stop', 'transfer', 'restart'],
  random,
  movesClocks,
  onFault: (kind, node) => { process.stderr.write(`seed ${seed}, ${kind} ${node}\n`) }
})
const { once, least } = result
// A slot that may be skipped mostly is, where clocks are minutes apart.
const counted = { ...once, unfinished: once.unfinished.length }
process.stdout.write(`${JSON.stringify({ seed, movesClocks, ...result, once: counted })}\n`)
const broken = [once.twice, once.acceptedTwice, least.twice, least.acceptedTwice, least.unfinished]
if (broken.some((found) => found.length > 0)) process.exitCode = 1
