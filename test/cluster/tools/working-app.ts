import { setTimeout as delay } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import fastify from 'fastify'
import cluster from '../../../src/plugin/index.ts'
import { closeWhenTold } from '../support/close-when-told.ts'
import { copyFlags, copyOf } from '../support/copy-flags.ts'
import { journaled } from '../support/run-journal.ts'

// One copy of an app whose handlers work for a while and then use the cluster. Closes on SIGTERM, and ends when nothing
// keeps its event loop going.
const { values } = parseArgs({
  options: {
    ...copyFlags,
    'work-ms': { type: 'string', default: '100' },
    'close-timeout-ms': { type: 'string', default: '8000' },
    // Drains first, and closes so much later.
    'drain-ms': { type: 'string' },
    // With a singleton that notes in this file when it works.
    journal: { type: 'string' },
    // With another one that is spread over the copies, and six workers.
    spread: { type: 'boolean', default: false },
    // With a singleton that ignores its signal.
    deaf: { type: 'boolean', default: false }
  },
  strict: true
})
const { options, address } = copyOf(values)
const workMs = Number(values['work-ms'])

const app = fastify({ logger: { level: 'warn' } })
await app.register(cluster, {
  ...options,
  closeTimeoutMs: Number(values['close-timeout-ms'])
})
const map = app.cluster.map<string>('work')

if (values.deaf) app.cluster.singleton('deaf', async () => { await new Promise(() => {}) })

if (values.journal !== undefined) {
  app.cluster.singleton('journaled', journaled(values.journal, 'journaled', values.id))
  if (values.spread) spreadTasks(values.journal)
}

interface Work {
  Params: { key: string }
  Body: { value: string }
}

app.put<Work>('/here/:key', async ({ params, body }) => await write(params.key, body.value))
app.put<Work>('/leader/:key', { forward: true }, async ({ params, body }) => await write(params.key, body.value))
app.get<Pick<Work, 'Params'>>('/here/:key', async ({ params: { key } }) => {
  await delay(workMs)
  return { key, value: (await map.get(key))?.value ?? null }
})
app.get<Pick<Work, 'Params'>>('/stored/:key', async ({ params: { key } }) => ({
  key,
  value: (await map.get(key))?.value ?? null
}))

closeWhenTold(app, values['drain-ms'] === undefined ? null : Number(values['drain-ms']))
await app.listen(address)

function spreadTasks (journal: string): void {
  app.cluster.singleton('spread', journaled(journal, 'spread', values.id), { placement: 'spread' })
  app.cluster.workers('workers', 6, async (signal, grant) => {
    await journaled(journal, `worker ${grant.worker}`, values.id)(signal, grant)
  })
}

async function write (key: string, value: string): Promise<object> {
  await delay(workMs)
  // Refused if the request has run before.
  const { revision } = await map.set(key, value, { ifRevision: 0 })
  return { key, revision, by: app.cluster.nodeId }
}
