import type {
  Configuration,
  Entry,
  Index,
  LeadershipView,
  Message,
  Moment,
  NodeId,
  Output,
  ReadResult,
  Write
} from '../core/index.ts'
import type { DeferredMessages } from './deferred-messages.ts'
import type { AnswerCollector } from './response-collector.ts'

/** Keeps the leadership lease of this node; see `LeadershipLease`. */
export interface LeasePort {
  readonly reset: () => void
  readonly started: (round: number, at: Moment) => void
  readonly confirmed: (round: number) => void
}

/** The log on the disk. Both calls return before the disk is done. */
interface LogPort {
  readonly write: (write: Write) => void
  readonly compact: (through: Index) => void
}

/** The way to the peers. */
interface NetworkPort {
  /** Sets the peers. */
  readonly configure: (configuration: Configuration) => void
  /** Sends messages in order; called with at least one. */
  readonly send: (messages: readonly Message[]) => void
}

/** The state that the log determines. */
interface StatePort<Handle> {
  /** Replaces the whole state by that of a snapshot. */
  readonly restore: (snapshot: Handle) => void
  /** Applies entries that follow those given before, after a restore that is under way. */
  readonly apply: (entries: readonly Entry[]) => void
}

/** Sends snapshots to peers that need compacted entries. */
interface SnapshotPort {
  readonly send: (peer: NodeId) => void
  /** This node does not lead any more, or leads in another term. */
  readonly stopSending: () => void
}

/** The layer above. */
export interface DriverListener {
  readonly configurationChanged: (configuration: Configuration) => void
  readonly viewChanged: (view: LeadershipView) => void
  readonly readDecided: (result: ReadResult) => void
}

/** The parts that carry out an output of the core. `Handle` identifies a snapshot of this node. */
export interface DriverPorts<Handle> {
  readonly lease: LeasePort
  readonly log: LogPort
  readonly network: NetworkPort
  readonly deferred: DeferredMessages
  readonly state: StatePort<Handle>
  readonly snapshots: SnapshotPort
  readonly listener: DriverListener
}

/**
 * Carries out one output of the core, in the order that {@link Output} asks for. It is synchronous, so no other event
 * comes between its parts. The write of a step starts before its messages are sent, and the messages are sent before
 * its committed entries are applied, so that applying delays no peer.
 *
 * `steppedAt` is a moment from before the step: a lease counts from before its round was sent. `collector` gathers the
 * answers to the request that is being handled; null when there is none.
 */
export function carryOut<Handle> (
  output: Output<Handle>,
  { lease, log, network, deferred, state, snapshots, listener }: DriverPorts<Handle>,
  steppedAt: Moment,
  collector: AnswerCollector | null = null
): void {
  const { view, configuration } = output
  if (view !== null) lease.reset()
  if (output.roundStarted !== null) lease.started(output.roundStarted, steppedAt)
  if (output.roundConfirmed !== null) lease.confirmed(output.roundConfirmed)
  if (configuration !== null) network.configure(configuration)
  if (output.write !== null) log.write(output.write)
  if (output.compactThrough !== null) log.compact(output.compactThrough)
  const atOnce = collector === null ? output.messages : output.messages.filter((message) => !collector.take(message))
  const durable = deferred.hold(output.deferred, output.deferredUntil, collector)
  send(durable.length === 0 ? atOnce : [...atOnce, ...durable], network)
  if (output.installed !== null) state.restore(output.installed.handle)
  state.apply(output.committed)
  if (view !== null) snapshots.stopSending()
  for (const peer of output.snapshotsWanted) snapshots.send(peer)
  if (configuration !== null) listener.configurationChanged(configuration)
  if (view !== null) listener.viewChanged(view)
  for (const result of output.reads) listener.readDecided(result)
}

/**
 * Sends the messages that waited for this write. Call it after the core was told that the write is durable and its
 * output was carried out.
 */
export function sendDurable (
  writeId: number,
  { deferred, network }: Pick<DriverPorts<unknown>, 'deferred' | 'network'>
): void {
  send(deferred.release(writeId), network)
}

function send (messages: readonly Message[], network: NetworkPort): void {
  if (messages.length > 0) network.send(messages)
}
