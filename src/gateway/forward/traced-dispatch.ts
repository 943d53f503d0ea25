import { channel } from 'node:diagnostics_channel'
import type { Dispatcher } from 'undici'

/** Told of every request that undici makes, before its head is written (undici, "Diagnostics Channel Support"). */
const created = channel('undici:request:create')

/** What undici tells there, as far as it is looked at. */
interface Created {
  /** The field lines that are going to be sent: names and values in turn. */
  readonly request: { readonly headers: unknown }
}

/**
 * Dispatches a request to a pool, so that what an instrumentation of undici adds to it replaces the lines of the same
 * name that it carries already. A tracer adds its `traceparent` beside the client's, and the receiver takes two of them
 * for none (W3C Trace Context, section 3.2). Without subscribers, this is a look at one property.
 */
export function dispatchTraced (
  dispatcher: Pick<Dispatcher, 'dispatch'>,
  options: Dispatcher.DispatchOptions & { readonly headers: readonly string[] },
  handler: Dispatcher.DispatchHandler
): void {
  if (!created.hasSubscribers) {
    dispatcher.dispatch(options, handler)
    return
  }
  const onCreated = (message: unknown): void => { keepAdded((message as Created).request.headers, options.headers) }
  // Behind all others, and only for this request: it is made within the call, since the pools have no limit.
  created.subscribe(onCreated)
  try {
    dispatcher.dispatch(options, handler)
  } finally {
    created.unsubscribe(onCreated)
  }
}

/** Takes the given lines of each field out of `lines` to which others have been added behind them. */
function keepAdded (lines: unknown, given: readonly string[]): void {
  if (!Array.isArray(lines)) return
  const fields = lines as unknown[]
  const [counts, givenCounts] = [countByName(fields), countByName(given)]
  const isReplaced = (name: string): boolean => (counts.get(name) ?? 0) > (givenCounts.get(name) ?? 0)
  // The state of a trace goes with its parent (section 3.3): what the client sent belongs to the parent that is gone.
  const dropsState = isReplaced('traceparent')
  const left = new Map(givenCounts)
  const kept: unknown[] = []
  for (let index = 0; index < fields.length; index += 2) {
    const name = nameAt(fields, index)
    const count = left.get(name) ?? 0
    left.set(name, count - 1)
    const isGiven = count > 0
    if (isGiven && (isReplaced(name) || (dropsState && name === 'tracestate'))) continue
    kept.push(fields[index], fields[index + 1])
  }
  fields.splice(0, fields.length, ...kept)
}

function countByName (lines: readonly unknown[]): Map<string, number> {
  const counts = new Map<string, number>()
  for (let index = 0; index < lines.length; index += 2) {
    const name = nameAt(lines, index)
    counts.set(name, (counts.get(name) ?? 0) + 1)
  }
  return counts
}

function nameAt (lines: readonly unknown[], index: number): string {
  return String(lines[index]).toLowerCase()
}
