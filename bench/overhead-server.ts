import { pathToFileURL } from 'node:url'
import fastify from 'fastify'
import type clusterPlugin from '../src/plugin/index.ts'

// One of the servers that overhead.ts compares, in its own process: `bare` is Fastify alone, `forward` the same
// route marked `forward: true` on a cluster of one. Sends its address, and answers each message with its CPU time.
// Loads the build and not the sources, because users run the build: this one, or the module that the second argument
// names. This file runs from build/bench.
const [, , variant, module] = process.argv
const ours = new URL('../../dist/src/plugin/index.js', import.meta.url)
const { default: cluster } = (await import((module === undefined ? ours : pathToFileURL(module)).href)) as {
  readonly default: typeof clusterPlugin
}

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
