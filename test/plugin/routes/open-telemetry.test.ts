import { expect, it, onTestFinished } from 'vitest'
import { rawExchange } from '../../gateway/support/servers.ts'
import { until } from '../../support/until.ts'
import type { AnyPlugin } from '../support/optional-plugins.ts'
import { describeBeside } from '../support/optional-plugins.ts'
import { twoCopies } from '../support/two-copies.ts'

const names = [
  '@fastify/otel', '@opentelemetry/api', '@opentelemetry/context-async-hooks', '@opentelemetry/core',
  '@opentelemetry/instrumentation-undici', '@opentelemetry/sdk-trace-base'
] as const

/** A span, as far as it is looked at. */
interface Span {
  readonly name: string
  readonly attributes: Readonly<Record<string, unknown>>
  readonly parentSpanContext?: { readonly spanId: string, readonly traceId: string }
  readonly spanContext: () => { readonly spanId: string, readonly traceId: string }
}

/** What the tests use of the packages, in the order of their names. */
interface Tracing {
  readonly FastifyOtelInstrumentation: new (options: object) => { readonly plugin: () => AnyPlugin }
  readonly trace: { readonly setGlobalTracerProvider: (provider: unknown) => void, readonly disable: () => void }
  readonly context: { readonly setGlobalContextManager: (manager: unknown) => void, readonly disable: () => void }
  readonly propagation: { readonly setGlobalPropagator: (propagator: unknown) => void, readonly disable: () => void }
  readonly AsyncLocalStorageContextManager: new () => { readonly enable: () => unknown }
  readonly W3CTraceContextPropagator: new () => unknown
  readonly UndiciInstrumentation: new () => { readonly enable: () => void, readonly disable: () => void }
  readonly BasicTracerProvider: new (options: object) => unknown
  readonly SimpleSpanProcessor: new (exporter: unknown) => unknown
  readonly InMemorySpanExporter: new () => { readonly getFinishedSpans: () => readonly Span[] }
}

const traceId = '0af7651916cd43dd8448eb211c80319c'
const clientSpan = 'b7ad6b7169203331'

describeBeside(names, (packages) => {
  it.each([false, true])('the span of the leader hangs below that of the hop; undici instrumented: %s', async (isInstrumented) => {
    const tracing = Object.assign({}, ...packages) as Tracing
    const exporter = new tracing.InMemorySpanExporter()
    const { trace, context, propagation } = tracing
    trace.setGlobalTracerProvider(new tracing.BasicTracerProvider({
      spanProcessors: [new tracing.SimpleSpanProcessor(exporter)]
    }))
    context.setGlobalContextManager(new tracing.AsyncLocalStorageContextManager().enable())
    propagation.setGlobalPropagator(new tracing.W3CTraceContextPropagator())
    const undici = new tracing.UndiciInstrumentation()
    if (!isInstrumented) undici.disable()
    onTestFinished(() => {
      undici.disable()
      for (const part of [trace, context, propagation]) part.disable()
    })
    const { follower } = await twoCopies(async (app, registerCluster, id) => {
      const otel = new tracing.FastifyOtelInstrumentation({
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
    const spanOf = (copy: string): Span | undefined =>
      exporter.getFinishedSpans().find(({ attributes }) => attributes.copy === copy)
    await until('both spans have ended', () => spanOf('n1') !== undefined && spanOf('n2') !== undefined)
    const idOf = (span: Span | undefined): string | undefined => span?.spanContext().spanId
    const [ofFollower, ofLeader] = [spanOf('n1'), spanOf('n2')]
    const above = (span: Span | undefined): Span | undefined =>
      exporter.getFinishedSpans().find((other) => idOf(other) === span?.parentSpanContext?.spanId)
    expect(ofLeader?.spanContext().traceId).toBe(traceId)
    expect(ofFollower?.parentSpanContext?.spanId).toBe(clientSpan)
    const path: Array<string | undefined> = []
    for (let span = above(ofLeader); span !== undefined; span = above(span)) path.push(idOf(span))
    expect(path.at(-1)).toBe(idOf(ofFollower))
    expect(path).toHaveLength(isInstrumented ? 2 : 1)
  })
})
