import type { FastifyRequest } from 'fastify'

/** What @fastify/otel gives a request, as far as it is used. */
interface TracedRequest {
  readonly opentelemetry?: () => {
    readonly instrumented?: boolean
    readonly inject: (carrier: Record<string, string>) => void
  }
}

/**
 * Lets the trace of a request that is forwarded go on from its span on this copy, when @fastify/otel has made one: the
 * fields of the trace context replace those that the client sent. The leader's span is then a child of this one, and
 * not its sibling.
 */
export function continueTrace (request: FastifyRequest): void {
  const traced = (request as TracedRequest).opentelemetry?.()
  if (traced?.instrumented !== true) return
  const carrier: Record<string, string> = {}
  traced.inject(carrier)
  replaceFields(request.raw.rawHeaders, carrier)
}

/** Replaces the lines of these fields: names and values in turn. */
function replaceFields (lines: string[], fields: Readonly<Record<string, string>>): void {
  const names = new Set(Object.keys(fields).map((name) => name.toLowerCase()))
  const kept: string[] = []
  for (let index = 0; index < lines.length; index += 2) {
    const [name = '', value = ''] = lines.slice(index, index + 2)
    if (!names.has(name.toLowerCase())) kept.push(name, value)
  }
  lines.splice(0, lines.length, ...kept, ...Object.entries(fields).flat())
}
