import { randomUUID } from 'node:crypto'
import type { Clock, Engine, Logger, WaitOptions } from '../../raft/index.ts'
import { InvalidOptionsError, StoppedError } from '../../raft/index.ts'
import type { Timers } from '../../raft/internal.ts'
import type { ClusterStateMachine } from '../replicated/cluster-state-machine.ts'
import type { OnceCondition } from '../replicated/command.ts'
import type { Waits } from './waits.ts'

/** Who chooses the idempotency keys of a handle, and how they are remembered. */
export type IdempotencyRules = Omit<OnceCondition, 'key'>

/** Where beats of sessions go. */
export interface Beats {
  /** How long after a beat the next one of its session is sent, in milliseconds. */
  readonly pauseMs: (ttlMs: number) => number
  /** Resolves when the beat is on its way to the log. Rejects as `Engine.propose` does. */
  readonly send: (session: number, beat: number, wait: WaitOptions) => Promise<void>
}

/** Engine, replicated state and clocks that the primitives of one node share. */
export interface PrimitiveContext {
  readonly engine: Engine
  readonly machine: ClusterStateMachine
  readonly clock: Clock
  readonly logger: Logger
  /** How long a call without `timeoutMs` waits for the cluster, in milliseconds. */
  readonly defaultTimeoutMs: number
  /** Aborts when this node closes; a node of a test may never do so. */
  readonly closed?: AbortSignal
  /** Bounds the calls that wait; a node of a test may have no bound. */
  readonly waits?: Waits
  /** How idempotency keys are remembered; the defaults, and keys of the application's code, when left out. */
  readonly idempotency?: IdempotencyRules
  /** Which log this node keeps: a session of an earlier process on it is over. Left out: nothing is known of it. */
  readonly incarnation?: string
  /** How long the session of this process lives after a beat, in milliseconds; 10 s when left out. */
  readonly sessionTtlMs?: number
  /** Where beats of the session of this process go; to the log, each as an entry, when left out. */
  readonly beats?: Beats
  /** Tests give their own; the timers of this process when left out. */
  readonly timers?: Timers
  /** A number from 0 on and below 1, for back-offs; that of JavaScript when left out. */
  readonly random?: () => number
  /** Draws the id of a request, a text that no other request has; a random UUID when left out. */
  readonly drawId?: () => string
}

/** An id for a new request. */
export function drawRequestId ({ drawId = randomUUID }: PrimitiveContext): string {
  return drawId()
}

/** The wait of a call with its defaults filled in. Throws `RAFT_INVALID_OPTIONS` for a timeout that is not one. */
export function waitOptions (
  context: PrimitiveContext,
  options: WaitOptions
): WaitOptions & { readonly timeoutMs: number } {
  const timeoutMs = options.timeoutMs ?? context.defaultTimeoutMs
  if (!(timeoutMs >= 0)) throw new InvalidOptionsError('timeoutMs is a number of milliseconds, at least 0')
  return options.signal === undefined ? { timeoutMs } : { timeoutMs, signal: options.signal }
}

/** Who is to be told of the end of a node, and how to stop listening for it. */
interface NodeEnd {
  readonly told: Set<(reason: Error) => void>
  readonly stop: () => void
}

// One listener for all that a node holds: with thousands of locks each would pay for a walk through all listeners.
const nodeEnds = new WeakMap<PrimitiveContext, NodeEnd>()

/**
 * Calls back once when this node closes or fails, at once when it is closed already: whoever waits for the cluster or
 * holds something of it is told. The function returned ends that.
 */
export function onNodeEnd (context: PrimitiveContext, ended: (reason: Error) => void): () => void {
  if (context.closed?.aborted === true) {
    ended(new StoppedError('it is closed'))
    return () => {}
  }
  const nodeEnd = nodeEnds.get(context) ?? listenForEnd(context)
  const tell = (reason: Error): void => { ended(reason) }
  nodeEnd.told.add(tell)
  return () => {
    nodeEnd.told.delete(tell)
    if (nodeEnd.told.size === 0) nodeEnd.stop()
  }
}

function listenForEnd (context: PrimitiveContext): NodeEnd {
  const { engine, closed } = context
  const told = new Set<(reason: Error) => void>()
  const stop = (): void => {
    engine.events.off('failed', onFailed)
    closed?.removeEventListener('abort', onClosed)
    if (nodeEnds.get(context) === nodeEnd) nodeEnds.delete(context)
  }
  const end = (reason: Error): void => {
    stop()
    for (const ended of [...told]) if (told.delete(ended)) ended(reason)
  }
  const onFailed = (error: Error): void => { end(new StoppedError(error.message, { cause: error })) }
  const onClosed = (): void => { end(new StoppedError('it is closed')) }
  engine.events.on('failed', onFailed)
  closed?.addEventListener('abort', onClosed)
  const nodeEnd: NodeEnd = { told, stop }
  nodeEnds.set(context, nodeEnd)
  return nodeEnd
}
