import { appendFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import fastify from 'fastify'
import cluster, { type ScheduledRun } from '../../../src/plugin/index.ts'
import { closeWhenTold } from '../support/close-when-told.ts'
import { copyFlags, copyOf } from '../support/copy-flags.ts'
import type { LedgerLine } from '../support/schedule-ledger.ts'

// One copy of an app with two schedules that come every second. Each run notes its start and its end in a file that all
// copies share, and writes once to the map under its token. Closes on SIGTERM.
const { values } = parseArgs({
  options: {
    ...copyFlags,
    ledger: { type: 'string', default: '' }
  },
  strict: true
})
const { options, address } = copyOf(values)
/** A run takes up to so long. */
const longestWorkMs = 400

const app = fastify({ logger: { level: 'warn' } })
await app.register(cluster, { ...options, closeTimeoutMs: 2_000 })
const accepted = app.cluster.map<string>('accepted')

async function work (schedule: string, run: ScheduledRun): Promise<void> {
  const { attempt, token, signal } = run
  const slot = run.scheduledFor.toISOString()
  const note = (kind: LedgerLine['kind']): void => {
    const line: LedgerLine = { kind, schedule, slot, attempt, token, node: values.id }
    appendFileSync(values.ledger, `${JSON.stringify(line)}\n`)
  }
  note('start')
  await delay(Math.random() * longestWorkMs, undefined, { signal })
  try {
    await accepted.set(`${schedule} ${slot}`, token, { ifRevision: 0, fence: token, signal })
    note('accepted')
  } catch (error) {
    const { code } = error as { readonly code?: string }
    // Its place was taken, or an earlier attempt has done the work.
    if (code === 'RAFT_FENCED') note('fenced')
    else if (code !== 'RAFT_REVISION_MISMATCH') throw error
  }
  note('end')
}

const schedules = [
  app.cluster.schedule('once', '* * * * * *', async (run) => { await work('once', run) }),
  app.cluster.schedule('least', '* * * * * *', async (run) => { await work('least', run) }, {
    delivery: 'at-least-once',
    overlap: 'allowAll',
    stopGraceMs: 2_000
  })
]

interface Named { Params: { name: string } }

function named (name: string): typeof schedules[number] {
  const found = schedules.find((schedule) => schedule.name === name)
  if (found === undefined) throw new RangeError(`no schedule ${name}`)
  return found
}
app.get<Named>('/schedules/:name', async ({ params }) => await named(params.name).status())
app.post<Named>('/schedules/:name/pause', async ({ params }) => {
  await named(params.name).pause('the end of the test')
  return {}
})

closeWhenTold(app)
await app.listen(address)
