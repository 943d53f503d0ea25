import { once } from 'node:events'
import { appendFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import fastify from 'fastify'
import cluster, { type LeadershipGrant } from '../../../src/plugin/index.ts'
import { closeWhenTold } from '../support/close-when-told.ts'
import { copyFlags, copyOf } from '../support/copy-flags.ts'

// One copy of an app whose singleton, or the work under its lock, blocks the event loop for a while when it is asked,
// and then tries to go on. It notes in a file when its lease ended and what it was allowed afterwards.
const { values } = parseArgs({
  options: {
    ...copyFlags,
    'block-ms': { type: 'string', default: '3000' },
    'on-lease-lost': { type: 'string', default: 'abort' },
    under: { type: 'string', default: 'singleton' },
    journal: { type: 'string', default: '' }
  },
  strict: true
})
const { options, address } = copyOf(values)

const app = fastify({ logger: { level: 'warn' } })
await app.register(cluster, options)
const map = app.cluster.map<string>('blocked')
const asked = new AbortController()
let isWorking = false

async function work (grant: Pick<LeadershipGrant, 'token' | 'check'>): Promise<void> {
  await map.set('by', values.id, { fence: grant.token })
  isWorking = true
  await once(asked.signal, 'abort')
  const leaseEndsAtMs = nowMs() + (app.cluster.status.leaseRemainingMs ?? 0)
  note({ kind: 'blocked', leaseEndsAtMs })
  const untilMs = nowMs() + Number(values['block-ms'])
  while (nowMs() < untilMs) { /* nothing else runs */ }
  const checked = outcomeOf(grant.check)
  const written = await map.set('by', values.id, { fence: grant.token }).then(() => 'written', codeOf)
  note({ kind: 'woke', checked, written })
}

if (values.under === 'singleton') {
  const onLeaseLost = values['on-lease-lost'] === 'exit' ? 'exit' : 'abort'
  app.cluster.singleton('blocked', async (_signal, grant) => { await work(grant) }, { onLeaseLost })
}

// Answered first: from then on nothing is.
app.post('/block', { onResponse: async () => { asked.abort() } }, async () => ({}))
app.get('/working', async () => ({ isWorking, isLeader: app.cluster.isLeader }))
app.get('/by', async () => ({ by: (await map.get('by'))?.value }))

closeWhenTold(app)
await app.listen(address)
if (values.under === 'lock') {
  const ended = app.cluster.lock('blocked').using(work, { ttlMs: 1_000, timeoutMs: 120_000 })
  note({ kind: 'ended', outcome: await ended.then(() => 'done', codeOf) })
}

/** The clock that all processes of the machine share. */
function nowMs (): number {
  return Number(process.hrtime.bigint()) / 1e6
}

function note (line: object): void {
  appendFileSync(values.journal, `${JSON.stringify(line)}\n`)
}

function outcomeOf (check: () => void): string {
  try {
    check()
    return 'holds'
  } catch (error) {
    return codeOf(error)
  }
}

function codeOf (error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : String(error)
}
