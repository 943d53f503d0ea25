import { fileURLToPath } from 'node:url'
import fastify from 'fastify'
import type clusterPlugin from '../src/plugin/index.ts'

// One copy of an application with the plugin, in its own process, that takes locks when it is asked to: what a client
// in the same process gets. What it is comes as JSON in the first argument. This file runs from build/bench.

/** What a copy is started with. */
export interface LockServerRole {
  readonly id: string
  readonly port: number
  readonly members: ReadonlyArray<{ readonly id: string, readonly url: string }>
  readonly dataDir: string
}

/** How often a lock was taken and given back, and how long that took each time. */
export interface LockLoad {
  readonly elapsedMs: number
  readonly latenciesMs: readonly number[]
}

/** What many locks, and many who wait for one, cost the copy that holds them. */
export interface LockScale {
  readonly locks: number
  readonly acquireMs: number
  readonly heapBytes: number
  readonly waiters: number
  readonly queueMs: number
  readonly queueBytes: number
  /** From one holder to the next, with all the others waiting. */
  readonly handoverMs: number
}

const { default: cluster } = (await import(
  fileURLToPath(new URL('../../dist/src/plugin/index.js', import.meta.url))
)) as { readonly default: typeof clusterPlugin }
const { id, port, members, dataDir } = JSON.parse(process.argv[2] ?? '') as LockServerRole
const app = fastify()
await app.register(cluster, { id, members: [...members], dataDir })

app.post<{ Body: { readonly clients: number, readonly milliseconds: number } }>('/load', async (request) => {
  const { clients, milliseconds } = request.body
  const latenciesMs: number[] = []
  const startMs = performance.now()
  await Promise.all(Array.from({ length: clients }, async (_, at) => {
    const lock = app.cluster.lock(`bench-${at}`)
    for (let fromMs = performance.now(); fromMs < startMs + milliseconds; fromMs = performance.now()) {
      const grant = await lock.acquire()
      await grant.release()
      latenciesMs.push(performance.now() - fromMs)
    }
  }))
  return { elapsedMs: performance.now() - startMs, latenciesMs } satisfies LockLoad
})

app.post<{ Body: { readonly locks: number, readonly waiters: number } }>('/scale', async ({ body: { locks, waiters } }) => {
  const before = heapBytes()
  const startMs = performance.now()
  const timeoutMs = 60_000
  const grants = await Promise.all(Array.from({ length: locks }, (_, at) =>
    app.cluster.lock(`scale-${at}`).acquire({ timeoutMs })))
  const acquiredMs = performance.now()
  const held = heapBytes()
  const lock = app.cluster.lock('scale-0')
  const waiting = Array.from({ length: waiters }, () => lock.using(() => {}, { timeoutMs }))
  while ((await app.inject('/_cluster/v1/locks/scale-0')).json<{ waiting: number }>().waiting < waiters);
  const queuedMs = performance.now()
  const queued = heapBytes()
  await grants[0]?.release()
  await Promise.all(waiting)
  const servedMs = performance.now()
  await Promise.all(grants.slice(1).map((grant) => grant.release()))
  return {
    locks,
    acquireMs: acquiredMs - startMs,
    heapBytes: held - before,
    waiters,
    queueMs: queuedMs - acquiredMs,
    queueBytes: queued - held,
    handoverMs: waiters === 0 ? 0 : (servedMs - queuedMs) / waiters
  } satisfies LockScale
})

function heapBytes (): number {
  globalThis.gc?.()
  return process.memoryUsage().heapUsed
}

await app.listen({ port, host: '127.0.0.1' })
process.once('disconnect', () => { app.close(() => {}) })
process.send?.({ url: app.listeningOrigin })
