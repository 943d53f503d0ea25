import { createHash } from 'node:crypto'
import { Readable } from 'node:stream'
import { setTimeout } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import fastify from 'fastify'
import type { ClusterOptions, LockGrant } from '../../../src/plugin/index.ts'
import cluster from '../../../src/plugin/index.ts'
import { closeWhenTold } from '../support/close-when-told.ts'

// One copy of an app that keeps notes, and tells which of its handlers ran and what it stores. `--options` are those of
// the plugin, as JSON. Closes on SIGTERM.
const { values } = parseArgs({
  options: {
    host: { type: 'string', default: '127.0.0.1' },
    port: { type: 'string', default: '0' },
    options: { type: 'string', default: '{}' },
    // Drains on SIGTERM, and closes so much later.
    'drain-ms': { type: 'string' }
  },
  strict: true
})

const mebibyte = 1_048_576

const app = fastify({
  logger: { level: 'info' },
  childLoggerFactory: (logger, bindings, options) => logger.child(bindings, { ...options, level: 'warn' })
})
await app.register(cluster, JSON.parse(values.options) as ClusterOptions)
const notes = app.cluster.map<string>('notes')
const kept = app.cluster.map<string>('kept')
/** Keys of the notes that handlers were asked to write here, by how often. */
const executed = new Map<string, number>()
let grant: LockGrant | null = null

interface Note {
  Params: { '*': string }
  Body: { text: string }
}
const body = {
  type: 'object',
  required: ['text'],
  additionalProperties: false,
  properties: { text: { type: 'string', maxLength: 65_536 } }
}

app.post<Note>('/notes/*', { forward: true, schema: { body } }, async ({ params: { '*': key }, body: { text } }) => {
  executed.set(key, (executed.get(key) ?? 0) + 1)
  const { revision } = await notes.set(key, text)
  return { key, revision, by: app.cluster.nodeId }
})
app.get<Pick<Note, 'Params'>>('/notes/*', { forward: true }, async ({ params: { '*': key } }) => ({
  key,
  text: (await notes.get(key))?.value ?? null,
  by: app.cluster.nodeId
}))
/** The same note, served where and as soon as each kind of read may be. */
for (const read of ['linearizable', 'leader', 'local'] as const) {
  app.get<Pick<Note, 'Params'>>(`/reads/${read}/*`, { read }, async ({ params: { '*': key } }) => ({
    key,
    note: await notes.get(key, { read: 'local' }),
    by: app.cluster.nodeId
  }))
}
app.get('/hello', { forward: true }, async () => ({ hello: 'world' }))
app.post<Note>('/hello', { forward: true, schema: { body } }, async ({ body: { text } }) => ({ text }))
app.get('/large', { forward: true }, async () => ({ text: 'x'.repeat(1_048_576) }))
app.get('/echo', { forward: true }, async ({ headers, ip }) => ({ headers, ip, by: app.cluster.nodeId }))

/** Takes any body as it comes, and reads it with a pause after each mebibyte. */
app.register(async (scope) => {
  scope.addContentTypeParser('application/octet-stream', (_request, payload, done) => { done(null, payload) })
  scope.post<{ Body: AsyncIterable<Buffer> }>('/sink', { forward: true, bodyLimit: 8 * 1_073_741_824 }, async ({ body }) => {
    let bytes = 0
    for await (const chunk of body) {
      if (Math.floor((bytes + chunk.length) / mebibyte) > Math.floor(bytes / mebibyte)) await setTimeout(1)
      bytes += chunk.length
    }
    return { bytes }
  })
})
app.get<{ Querystring: { bytes: string } }>('/source', { forward: true }, async ({ query: { bytes } }, reply) => {
  const piece = Buffer.alloc(65_536, 'x')
  const pieces = function * (left: number): Iterable<Buffer> {
    for (; left > 0; left -= piece.length) yield piece.subarray(0, Math.min(left, piece.length))
  }
  return await reply.type('application/octet-stream').send(Readable.from(pieces(Number(bytes))))
})

/** How often this copy ran the handler that writes this note. */
app.get<Pick<Note, 'Params'>>('/executed/*', async ({ params: { '*': key } }) => ({ times: executed.get(key) ?? 0 }))
/** A hash of what must not change, as it is applied on this copy, and what every object inherits. */
app.get('/kept', async () => {
  const hash = createHash('sha256')
  for await (const { key, value, revision } of kept.entries({ read: 'local' })) hash.update(`${key} ${value} ${revision}\n`)
  return { hash: hash.digest('hex'), inherited: Object.getOwnPropertyNames(Object.prototype) }
})
/** All notes as they are applied on this copy. */
app.get('/stored', async () => {
  const stored: Array<readonly [string, string]> = []
  for await (const { key, value } of notes.entries({ read: 'local' })) stored.push([key, value])
  return { notes: stored }
})
app.put<Note>('/kept/*', { schema: { body } }, async ({ params: { '*': key }, body: { text } }) => await kept.set(key, text))

/** Writes a key that goes with this process. */
app.post('/presence', async () =>
  await app.cluster.map('kv').set(`presence/${app.cluster.nodeId}`, process.pid, { ephemeral: true }))

/** Takes the lock `safe` for this copy, keeps it, and tells its token. */
app.post('/lock', async () => {
  grant ??= await app.cluster.lock('safe').acquire()
  return { token: grant.token, expiresInMs: grant.expiresInMs }
})
/** Tries to take it in another name, on this copy. */
app.post('/lock/steal', async () => {
  const stolen = await app.cluster.lock('safe').tryAcquire({ owner: 'thief' })
  return { isStolen: stolen !== null }
})
/** Writes a note under a fencing token that the caller has guessed. */
app.post<Note & { Querystring: { fence: string } }>('/fenced/*', async ({ params: { '*': key }, body: { text }, query }) =>
  await notes.set(key, text, { fence: query.fence }))

const drainMs = values['drain-ms']
closeWhenTold(app, drainMs === undefined ? null : Number(drainMs))
await app.listen({ host: values.host, port: Number(values.port) })
