import { FastifyOtelInstrumentation } from '@fastify/otel'
import { context, propagation, trace } from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import { W3CTraceContextPropagator } from '@opentelemetry/core'
import { UndiciInstrumentation } from '@opentelemetry/instrumentation-undici'
import type { ReadableSpan } from '@opentelemetry/sdk-trace-base'
import { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base'
import { describe, expect, it, onTestFinished } from 'vitest'
import { rawExchange } from '../../gateway/support/servers.ts'
import { until } from '../../support/until.ts'
import { twoCopies } from '../support/two-copies.ts'

const traceId = '0af7651916cd43dd8448eb211c80319c'
const clientSpan = 'b7ad6b7169203331'

describe('beside @fastify/otel', () => {
  it.each([false, true])('the span of the leader hangs below that of the hop; undici instrumented: %s', async (isInstrumented) => {
    const exporter = new InMemorySpanExporter()
    trace.setGlobalTracerProvider(new BasicTracerProvider({
      spanProcessors: [new SimpleSpanProcessor(exporter)]
    }))
    context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable())
    propagation.setGlobalPropagator(new W3CTraceContextPropagator())
    const undici = new UndiciInstrumentation()
    if (!isInstrumented) undici.disable()
    onTestFinished(() => {
      undici.disable()
      for (const part of [trace, context, propagation]) part.disable()
    })
    const { follower } = await twoCopies(async (app, registerCluster, id) => {
      const otel = new FastifyOtelInstrumentation({
        requestHook: (span: { readonly setAttribute: (name: string, value: string) => void }) => {
          span.setAttribute('copy', id)
        }
      })
      await app.register(otel.plugin())
      await registerCluster()
      app.post('/x', { forward: true }, async () => 'x')
    })
    // Not by fetch, which is instrumented too.
    const lines = [`traceparent: 00-${traceId}-${clientSpan}-01`, 'Host: x', 'Connection: close', 'Content-Length: 0']
    const message = ['POST /x HTTP/1.1', ...lines, '', ''].join('\r\n')
    expect(await rawExchange(Number(new URL(follower.url).port), message)).toMatch(/^HTTP\/1\.1 200 /)
    const spanOf = (copy: string): ReadableSpan | undefined =>
      exporter.getFinishedSpans().find(({ attributes }) => attributes.copy === copy)
    await until('both spans have ended', () => spanOf('n1') !== undefined && spanOf('n2') !== undefined)
    const idOf = (span: ReadableSpan | undefined): string | undefined => span?.spanContext().spanId
    const [ofFollower, ofLeader] = [spanOf('n1'), spanOf('n2')]
    const above = (span: ReadableSpan | undefined): ReadableSpan | undefined =>
      exporter.getFinishedSpans().find((other) => idOf(other) === span?.parentSpanContext?.spanId)
    expect(ofLeader?.spanContext().traceId).toBe(traceId)
    expect(ofFollower?.parentSpanContext?.spanId).toBe(clientSpan)
    const path: Array<string | undefined> = []
    for (let span = above(ofLeader); span !== undefined; span = above(span)) path.push(idOf(span))
    expect(path.at(-1)).toBe(idOf(ofFollower))
    expect(path).toHaveLength(isInstrumented ? 2 : 1)
  })
})
