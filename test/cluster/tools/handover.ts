import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import type { HandoverKind } from '../support/handover.ts'
import { runHandovers } from '../support/handover.ts'

// npm run test:handover                      20 planned handovers under load through a gateway, by a transfer and by a
//                                            copy that drains before it closes, in turn
// npm run test:handover -- --rounds 4        fewer
// npm run test:handover -- --kind drain      of one kind
// Prints one line of JSON, and exits with 0 only if no request failed, no acknowledged write is missing, and no request
// took longer and no stall was longer than --within-ms (150) during a handover. Progress goes to standard error.
const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '20' },
    kind: { type: 'string', default: 'both' },
    'per-second': { type: 'string', default: '200' },
    'within-ms': { type: 'string', default: '150' }
  },
  strict: true
})
const kinds: Readonly<Record<string, readonly HandoverKind[]>> = {
  both: ['transfer', 'drain'],
  transfer: ['transfer'],
  drain: ['drain']
}
const chosen = kinds[values.kind]
if (chosen === undefined) throw new RangeError(`--kind must be transfer, drain or both, not "${values.kind}"`)
const [rounds, perSecond, withinMs] = [Number(values.rounds), Number(values['per-second']), Number(values['within-ms'])]
if (![rounds, perSecond, withinMs].every((number) => number > 0)) {
  throw new RangeError('--rounds, --per-second and --within-ms must be numbers above 0')
}

const result = await runHandovers({
  programs: {
    cli: fileURLToPath(new URL('../../../../dist/src/cli/main.js', import.meta.url)),
    app: fileURLToPath(new URL('notes-app.js', import.meta.url))
  },
  rounds,
  kinds: chosen,
  perSecond,
  onRound: (round) => { process.stderr.write(`${JSON.stringify(round)}\n`) }
})
const longestStallMs = Math.max(...result.rounds.map(({ stallMs }) => stallMs))
const slowestMs = Math.max(...result.rounds.map(({ slowestMs: ofRound }) => ofRound))
const { all, lost, quiet } = result
process.stdout.write(`${JSON.stringify({ rounds, perSecond, longestStallMs, slowestMs, quiet, all, lost })}\n`)
if (all.failures.length > 0 || lost > 0 || longestStallMs > withinMs || slowestMs > withinMs) process.exitCode = 1
