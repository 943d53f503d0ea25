import { createRequire } from 'node:module'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { FastifyInstance, FastifyPluginCallback, FastifyReply } from 'fastify'
import fastify from 'fastify'
import type { Dispatcher } from 'undici'
import { Pool } from 'undici'
import type clusterPlugin from '../src/plugin/index.ts'
import { WireSketch } from './wire-sketch.ts'

// One of the servers that forward.ts compares, in its own process. Its role and what belongs to it come as JSON in the
// first argument. Sends its address when it listens, and closes when its parent is gone.

/** What a server is for. */
export type ServerRole =
  /** The application alone: what proxies forward to. */
  | { readonly kind: 'application' }
  /** The application with the plugin of a build: `module` is its `plugin/index.js`. */
  | {
    readonly kind: 'member'
    readonly module: string
    readonly id: string
    readonly port: number
    readonly members: ReadonlyArray<{ readonly id: string, readonly url: string }>
    readonly secret?: string
  }
  /** @fastify/reply-from of the packages in a directory. */
  | { readonly kind: 'reply-from', readonly peers: string, readonly upstream: string }
  /** Nothing but `hijack` and `dispatch`: no rules for fields, no deadline, no retry, no look at the client. */
  | { readonly kind: 'sketch', readonly upstream: string }
  /** The same without an HTTP client: what lies beyond undici. */
  | { readonly kind: 'wire', readonly upstream: string }

const role = JSON.parse(process.argv[2] ?? '') as ServerRole
const app = fastify()
switch (role.kind) {
  case 'application':
    addRoutes(app, {})
    break
  case 'member': {
    const { default: cluster } = (await import(pathToFileURL(role.module).href)) as {
      readonly default: typeof clusterPlugin
    }
    await app.register(cluster, {
      id: role.id,
      members: [...role.members],
      ...(role.secret === undefined ? {} : { secret: role.secret })
    })
    addRoutes(app, { forward: true })
    break
  }
  case 'reply-from':
    await addReplyFrom(app, role.peers, role.upstream)
    break
  case 'sketch':
    addSketch(app, role.upstream)
    break
  case 'wire':
    addWireSketch(app, role.upstream)
    break
}
await app.listen({ port: role.kind === 'member' ? role.port : 0, host: '127.0.0.1' })
process.once('disconnect', () => { app.close(() => {}) })
process.send?.({ url: app.listeningOrigin })

function addRoutes (app: FastifyInstance, marks: { forward?: boolean }): void {
  app.get('/hello', marks, async () => ({ hello: 'world' }))
  app.post('/orders', marks, async ({ body }) => ({ name: (body as { readonly name: string }).name }))
}

/** As @fastify/http-proxy sets it up: bodies are passed on as they come, not parsed. */
async function addReplyFrom (app: FastifyInstance, peers: string, upstream: string): Promise<void> {
  const path = createRequire(join(peers, 'package.json')).resolve('@fastify/reply-from')
  const { default: replyFrom } = (await import(pathToFileURL(path).href)) as {
    readonly default: FastifyPluginCallback<{ base: string, disableRequestLogging: boolean }>
  }
  await app.register(replyFrom, { base: upstream, disableRequestLogging: true })
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', (_request, payload, done) => { done(null, payload) })
  const forward = (_request: unknown, reply: FastifyReply & { readonly from?: () => void }): void => { reply.from?.() }
  app.get('/hello', forward)
  app.post('/orders', forward)
}

function addSketch (app: FastifyInstance, upstream: string): void {
  const pool = new Pool(upstream, { pipelining: 1, allowH2: false })
  const forward = (reply: FastifyReply, body: Buffer | null): void => {
    const { raw } = reply.request
    reply.hijack()
    const options = { path: raw.url ?? '', method: raw.method ?? '', headers: sketchHeaders(raw.rawHeaders), body }
    pool.dispatch({ ...options, headersTimeout: 0, bodyTimeout: 0 }, new SketchHandler(reply))
  }
  addPassingRoutes(app, forward)
  app.addHook('onClose', async () => { await pool.close() })
}

function addWireSketch (app: FastifyInstance, upstream: string): void {
  const wire = new WireSketch(upstream)
  addPassingRoutes(app, (reply, body) => {
    reply.hijack()
    wire.forward(reply, sketchHeaders(reply.request.raw.rawHeaders), body)
  })
  app.addHook('onClose', async () => { wire.close() })
}

function addPassingRoutes (app: FastifyInstance, forward: (reply: FastifyReply, body: Buffer | null) => void): void {
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => { done(null, body) })
  app.get('/hello', (_request, reply) => { forward(reply, null) })
  app.post('/orders', (request, reply) => { forward(reply, request.body as Buffer) })
}

function sketchHeaders (raw: readonly string[]): string[] {
  const kept: string[] = []
  for (let index = 0; index + 1 < raw.length; index += 2) {
    const name = raw[index] ?? ''
    if (name.length !== 10 || name.toLowerCase() !== 'connection') kept.push(name, raw[index + 1] ?? '')
  }
  return kept
}

class SketchHandler implements Dispatcher.DispatchHandler {
  readonly #reply: FastifyReply

  constructor (reply: FastifyReply) {
    this.#reply = reply
  }

  onRequestStart (): void {}

  onResponseStart (controller: Dispatcher.DispatchController, statusCode: number): void {
    const raw = controller.rawHeaders
    if (!Array.isArray(raw)) throw new TypeError('there are no raw header fields')
    this.#reply.raw.writeHead(statusCode, sketchHeaders(raw.map((part: string | Buffer) => part.toString('latin1'))))
  }

  onResponseData (_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.#reply.raw.write(chunk)
  }

  onResponseEnd (): void {
    this.#reply.raw.end()
  }

  onResponseError (): void {
    this.#reply.raw.destroy()
  }
}
