import fastify from 'fastify'
import type clusterPlugin from '../src/plugin/index.ts'

// A server that overhead.ts compares, as a process of its own: `bare` is Fastify alone, `forward` the same
// route marked `forward: true` on a leader of one. Says where it listens, and answers each message with its CPU time.
// The build is loaded, not the sources: it is what users run. This file runs from build/bench.
const { default: cluster } = (await import(new URL('../../dist/src/plugin/index.js', import.meta.url).href)) as {
  readonly default: typeof clusterPlugin
}

const variant = process.argv[2]
const app = fastify()
if (variant === 'forward') await app.register(cluster)
app.get('/hello', variant === 'forward' ? { forward: true } : {}, async () => ({ hello: 'world' }))
await app.listen({ port: 0, host: '127.0.0.1' })

process.on('message', () => {
  const { user, system } = process.cpuUsage()
  process.send?.({ cpuMicros: user + system })
})
process.once('disconnect', () => { app.close(() => {}) })
process.send?.({ url: app.listeningOrigin })
