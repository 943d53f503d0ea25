import { pathToFileURL } from 'node:url'
import fastify from 'fastify'
import type clusterPlugin from '../src/plugin/index.ts'

// One of the processes that idle.ts compares. Its role and what belongs to it come as JSON in the first argument. Tells
// its parent when it is ready, answers each message with its memory, and closes when its parent is gone.

/** What a process is for. */
export type IdleRole =
  /** Fastify and one route. */
  | { readonly kind: 'bare' }
  /** Fastify, and then the plugin of a build, which is imported and no more: `module` is its `plugin/index.js`. */
  | { readonly kind: 'import', readonly module: string }
  /** The same application as `bare`, with the plugin. */
  | {
    readonly kind: 'node'
    readonly module: string
    readonly id: string
    readonly port: number
    readonly members: ReadonlyArray<{ readonly id: string, readonly url: string }>
    readonly dataDir: string
    readonly secret: string
  }

/** What a process says when it is ready. */
export interface IdleReady {
  /** How long the import took; 0 when nothing was imported. */
  readonly importMs: number
  /** By how much it let the process grow. */
  readonly importBytes: number
}

const role = JSON.parse(process.argv[2] ?? '') as IdleRole
process.on('message', () => { process.send?.({ rssBytes: process.memoryUsage.rss() }) })
process.send?.(await begin())

async function begin (): Promise<IdleReady> {
  if (role.kind === 'import') {
    process.once('disconnect', () => { process.exit() })
    return await imported(role.module)
  }
  const app = fastify()
  process.once('disconnect', () => { app.close(() => {}) })
  let ready: IdleReady = { importMs: 0, importBytes: 0 }
  if (role.kind === 'node') {
    const { module, id, members, dataDir, secret } = role
    ready = await imported(module)
    const { default: cluster } = await load(module)
    await app.register(cluster, { id, members: [...members], dataDir, secret })
  }
  app.get('/hello', async () => ({ hello: 'world' }))
  await app.listen({ port: role.kind === 'node' ? role.port : 0, host: '127.0.0.1' })
  return ready
}

async function imported (module: string): Promise<IdleReady> {
  const bytesBefore = process.memoryUsage.rss()
  const startedMs = performance.now()
  await load(module)
  return { importMs: performance.now() - startedMs, importBytes: process.memoryUsage.rss() - bytesBefore }
}

async function load (module: string): Promise<{ readonly default: typeof clusterPlugin }> {
  return (await import(pathToFileURL(module).href)) as { readonly default: typeof clusterPlugin }
}
