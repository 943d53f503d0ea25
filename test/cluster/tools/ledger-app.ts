import { closeSync, fsyncSync, openSync, writeSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import type { FastifyReply, FastifyRequest } from 'fastify'
import fastify from 'fastify'
import type { ClusterOptions } from '../../../src/plugin/index.ts'
import cluster from '../../../src/plugin/index.ts'
import { closeWhenTold } from '../support/close-when-told.ts'

// One copy of an app whose handlers write each run into a file of this copy, outside of the cluster, before they do
// anything else. `--options` are those of the plugin, as JSON. Closes on SIGTERM.
const { values } = parseArgs({
  options: {
    host: { type: 'string', default: '127.0.0.1' },
    port: { type: 'string', default: '0' },
    options: { type: 'string', default: '{}' }
  },
  strict: true
})
const options = JSON.parse(values.options) as ClusterOptions

const app = fastify({
  logger: { level: 'info' },
  childLoggerFactory: (logger, bindings, loggerOptions) => logger.child(bindings, { ...loggerOptions, level: 'warn' })
})
await app.register(cluster, options)
const entries = app.cluster.map<number>('entries')
// Opened again after a crash: what stands in it stays.
const ledger = openSync(`${options.dataDir ?? 'memory'}.ledger`, 'a')

interface Entry {
  Params: { id: string }
  Body: { workMs: number }
}

/** Runs once for each time that it is called, whatever becomes of the answer. */
async function run (request: FastifyRequest<Entry>, reply: FastifyReply): Promise<unknown> {
  const { params: { id }, body: { workMs } } = request
  writeSync(ledger, `${id}\n`)
  fsyncSync(ledger)
  await delay(workMs)
  try {
    const { revision } = await entries.set(id, workMs)
    return await reply.code(201).send({ id, revision, by: app.cluster.nodeId })
  } catch (error) {
    app.log.warn(error)
    // What the map says of itself must not pass for a word about this handler, which did run.
    return await reply.code(500).send({ code: 'HALF_DONE' })
  }
}

const graceMs = 300
app.post<Entry>('/plain/:id', { forward: true }, run)
app.post<Entry>('/once/:id', { forward: true, idempotent: { graceMs } }, run)
app.post<Entry>('/again/:id', { forward: true, idempotent: { graceMs, onUnknown: 'retry' } }, run)
/** What this copy has applied. */
app.get('/entries', async () => {
  const ids: string[] = []
  for await (const { key } of entries.entries({ read: 'local' })) ids.push(key)
  return { ids }
})

closeWhenTold(app)
app.addHook('onClose', () => { closeSync(ledger) })
await app.listen({ host: values.host, port: Number(values.port) })
