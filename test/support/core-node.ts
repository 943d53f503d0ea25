import type {
  ConfigurationChange,
  ConfigureResult,
  CoreConfig,
  Entry,
  HardState,
  Index,
  LogBase,
  Message,
  Moment,
  NodeId,
  Output,
  ProposeResult,
  Recovered,
  SnapshotPoint,
  Term,
  TransferResult,
  Violation,
  Write
} from '../../src/raft/core/index.ts'
import { asIndex, emptyHardState, RaftCore, wholeLog } from '../../src/raft/core/index.ts'
import type { DriverListener, DriverPorts, LeasePort } from '../../src/raft/driver/carry-out.ts'
import { carryOut, sendDurable } from '../../src/raft/driver/carry-out.ts'
import { DeferredMessages } from '../../src/raft/driver/deferred-messages.ts'
import { reconcile } from '../../src/raft/driver/recovered-log.ts'
import type { Clock } from '../../src/raft/runtime/clock.ts'

/** The production core, or a deliberately broken copy of it. */
export type CoreConstructor = new (
  config: CoreConfig,
  recovered: Recovered
) => RaftCore<CoreSnapshot>

/** One thing that happened to a node, and what its core returned. */
export type Step =
  | { readonly kind: 'receive', readonly message: Message, readonly violation: Violation | null }
  | { readonly kind: 'install', readonly violation: Violation | null }
  | { readonly kind: 'propose', readonly result: ProposeResult }
  | { readonly kind: 'configure', readonly result: ConfigureResult }
  | { readonly kind: 'transfer', readonly result: TransferResult }
  | { readonly kind: PlainStep }

/** Steps that return nothing. */
type PlainStep =
  | 'tick' | 'read' | 'persisted' | 'unreachable' | 'campaign' | 'step-down' | 'compact' | 'snapshot-sent'
  | 'snapshot-failed' | 'start-round' | 'connection-refused'

/** The entries that an output has for the disk. */
export function entriesOf ({ write }: Output): readonly Entry[] {
  return write?.kind === 'append' ? write.entries : []
}

/** A snapshot of a state machine that keeps everything it applied. */
export interface CoreSnapshot {
  readonly point: SnapshotPoint
  /** Everything applied through `point`, in order. */
  readonly state: readonly Entry[]
}

/** A snapshot on its way to a peer: all of it, or it does not arrive. */
export interface SnapshotTransfer {
  readonly from: NodeId
  readonly to: NodeId
  readonly term: Term
  readonly snapshot: CoreSnapshot
}

/** A disk: the log behind its base, and the latest snapshot. */
export interface CoreDisk {
  base: LogBase
  hardState: HardState
  entries: Entry[]
  snapshot: CoreSnapshot | null
}

/** An entry of a list that starts behind a base. */
function entryIn (base: LogBase, entries: readonly Entry[], index: number): Entry | undefined {
  return entries[index - base.index - 1]
}

/** The production driver, or deliberately broken copies of it. */
export interface DriverCode {
  readonly carryOut: typeof carryOut
  readonly sendDurable: typeof sendDurable
  readonly DeferredMessages: typeof DeferredMessages
}

const productionDriver: DriverCode = { carryOut, sendDurable, DeferredMessages }

/** What the driver tells the layer above it. */
export interface CoreNodeListener extends DriverListener {
  /** A snapshot replaced the state. */
  readonly restored: (snapshot: CoreSnapshot) => void
  readonly applied: (entries: readonly Entry[]) => void
}

/** Events of a {@link CoreNode} for the harness around it. */
export interface CoreNodeHost {
  clock: Clock
  /** The message leaves the node now. */
  send: (message: Message) => void
  /**
   * A snapshot leaves the node; the harness reports its outcome to the sender as `snapshot-sent` or `snapshot-failed`.
   */
  sendSnapshot?: (transfer: SnapshotTransfer) => void
  /** One event was handled, and its output carried out. */
  stepped: (node: CoreNode, step: Step, output: Output) => void
  core?: CoreConstructor
  driver?: DriverCode
  lease?: LeasePort
  listener?: CoreNodeListener
}

function nothing (): void {}
const noLease: LeasePort = { reset: nothing, started: nothing, confirmed: nothing }

/** How much of the writes under way reaches the disk when a node crashes. */
export interface CrashPoint {
  /** Writes that are complete on the disk although the node was not told. */
  readonly completeWrites: number
  /** Entries of the next write that reached the disk behind its hard state; null: no part of it did. */
  readonly tornEntries: number | null
}

const nothingMore: CrashPoint = { completeWrites: 0, tornEntries: null }

/**
 * One core and one disk that completes writes when told to, tied together by the production driver. A crash loses
 * everything but the disk.
 */
export class CoreNode {
  readonly config: CoreConfig
  readonly #host: CoreNodeHost
  #core: RaftCore<CoreSnapshot> | null = null
  #writes: Write[] = []
  readonly #driver: DriverCode
  #ports: DriverPorts<CoreSnapshot> | null = null
  /** The disk that a restart reads. */
  disk: CoreDisk = emptyDisk()
  /** The log as the running core sees it, behind its base. */
  log: Entry[] = []
  #logBase: LogBase = wholeLog
  /** The state: entries applied since the start, and before them what the snapshot held. */
  applied: Entry[] = []
  starts = 0

  constructor (config: CoreConfig, host: CoreNodeHost) {
    this.config = config
    this.#host = host
    this.#driver = host.driver ?? productionDriver
  }

  get id (): NodeId { return this.config.id }
  get isUp (): boolean { return this.#core !== null }
  get pendingWrites (): readonly Write[] { return this.#writes }

  get core (): RaftCore<CoreSnapshot> {
    if (this.#core === null) throw new Error(`${this.id} is down`)
    return this.#core
  }

  /** An entry of the log as the running core sees it; also undefined when it is compacted. */
  entryAt (index: number): Entry | undefined { return entryIn(this.#logBase, this.log, index) }
  /** An entry on the disk; also undefined when it is compacted. */
  durableEntryAt (index: number): Entry | undefined { return entryIn(this.disk.base, this.disk.entries, index) }

  /** Starts from the disk. */
  start (): void {
    if (this.#core !== null) throw new Error(`${this.id} runs already`)
    this.#reconcileDisk()
    const Core = this.#host.core ?? RaftCore
    const config = { ...this.config, seed: this.config.seed + 7919 * this.starts }
    const { base, hardState, entries, snapshot } = this.disk
    this.#core = new Core(config, { base, hardState, entries: [...entries], snapshot: snapshot?.point ?? null })
    this.log = [...entries]
    this.#logBase = base
    this.applied = [...snapshot?.state ?? []]
    this.#ports = this.#createPorts()
    this.starts++
  }

  tick ({ standsBack = false } = {}): Output {
    return this.#act('tick', (core) => { core.tick(this.#now, standsBack) })
  }

  receive (message: Message): Output {
    return this.#carryOut({ kind: 'receive', message, violation: this.core.receive(message, this.#now) })
  }

  propose (...commands: readonly Uint8Array[]): ProposeResult {
    const result = this.core.propose(commands, this.#now)
    this.#carryOut({ kind: 'propose', result })
    return result
  }

  configure (
    changes: readonly ConfigurationChange[],
    expectedIndex: number | null = null
  ): ConfigureResult {
    const result = this.core.configure(changes, expectedIndex, this.#now)
    this.#carryOut({ kind: 'configure', result })
    return result
  }

  transfer (to: NodeId | null): TransferResult {
    const result = this.core.transfer(to)
    this.#carryOut({ kind: 'transfer', result })
    return result
  }

  read (contexts: readonly number[]): Output { return this.#act('read', (core) => { core.read(contexts) }) }
  unreachable (peer: NodeId): Output { return this.#act('unreachable', (core) => { core.unreachable(peer) }) }

  connectionRefused (peer: NodeId): Output {
    return this.#act('connection-refused', (core) => { core.connectionRefused(peer) })
  }

  campaign (): Output { return this.#act('campaign', (core) => { core.campaign() }) }
  startRound (): Output { return this.#act('start-round', (core) => { core.startRound() }) }
  stepDown (): Output { return this.#act('step-down', (core) => { core.stepDown() }) }

  snapshotSent (peer: NodeId, index: Index): Output {
    return this.#act('snapshot-sent', (core) => { core.snapshotSent(peer, index) })
  }

  snapshotFailed (peer: NodeId): Output {
    return this.#act('snapshot-failed', (core) => { core.snapshotFailed(peer) })
  }

  /** A durable snapshot covers the log through `covered`. */
  compactThrough (covered: Index, keepEntries: number, keepBytes: number): Output {
    return this.#act('compact', (core) => { core.compact(covered, keepEntries, keepBytes) })
  }

  /** Takes a snapshot of the applied state, durable at once, and compacts the log except for trailing entries. */
  compact (keepEntries = 0): Output {
    const snapshot = this.takeSnapshot()
    if (snapshot !== null) this.keepSnapshot(snapshot)
    return this.compactThrough(snapshot?.point.index ?? asIndex(0), keepEntries, Infinity)
  }

  /** A snapshot of the applied state, not on the disk yet; null before the first entry was applied. */
  takeSnapshot (): CoreSnapshot | null {
    const last = this.applied.at(-1)
    return last === undefined ? null : { point: this.core.snapshotPoint(last.index), state: [...this.applied] }
  }

  /** A whole snapshot has arrived: it becomes durable, and then the core hears of it. */
  receiveSnapshot ({ from, term, snapshot }: SnapshotTransfer): Output {
    this.keepSnapshot(snapshot)
    const installation = { from, term, snapshot: snapshot.point, handle: snapshot }
    return this.#carryOut({ kind: 'install', violation: this.core.install(installation, this.#now) })
  }

  /** The disk completes the oldest writes; the core hears of the last of them only. */
  persist (count = 1): Output | null {
    const done = this.#writes.splice(0, count)
    for (const write of done) this.#put(write)
    const last = done.at(-1)
    if (last === undefined) return null
    const output = this.#act('persisted', (core) => { core.persisted(last.id, this.#now) })
    if (this.#ports !== null) this.#driver.sendDurable(last.id, this.#ports)
    return output
  }

  /** Stops at once. Writes that the disk had not confirmed are lost, except as `point` says. */
  crash (point: CrashPoint = nothingMore): void {
    const { completeWrites, tornEntries } = point
    for (const write of this.#writes.slice(0, completeWrites)) this.#put(write)
    const torn = this.#writes[completeWrites]
    if (torn !== undefined && tornEntries !== null) this.#put(torn, tornEntries)
    this.#core = null
    this.#ports = null
    this.#writes = []
  }

  /** Also loses the disk. */
  wipe (): void {
    this.disk = emptyDisk()
  }

  #act (kind: PlainStep, act: (core: RaftCore<CoreSnapshot>) => void): Output {
    act(this.core)
    return this.#carryOut({ kind })
  }

  get #now (): Moment {
    const { clock } = this.#host
    return { monotonicMs: clock.monotonicMs(), wallMs: clock.wallMs() }
  }

  #carryOut (step: Step): Output {
    if (this.#ports === null) throw new Error(`${this.id} is down`)
    const output = this.core.takeOutput()
    this.#driver.carryOut(output, this.#ports, this.#now)
    this.#host.stepped(this, step, output)
    return output
  }

  #createPorts (): DriverPorts<CoreSnapshot> {
    const { lease = noLease, listener } = this.#host
    return {
      lease,
      log: {
        write: (write) => { this.#write(write) },
        compact: (through) => { this.#compactDisk(through) }
      },
      network: { configure: nothing, send: (messages) => { for (const message of messages) this.#host.send(message) } },
      deferred: new this.#driver.DeferredMessages(),
      state: {
        restore: (snapshot) => {
          this.applied = [...snapshot.state]
          listener?.restored(snapshot)
        },
        apply: (entries) => {
          for (const entry of entries) this.applied.push(entry)
          listener?.applied(entries)
        }
      },
      snapshots: { send: (peer) => { this.#sendSnapshot(peer) }, stopSending: nothing },
      listener: listener ?? { configurationChanged: nothing, viewChanged: nothing, readDecided: nothing }
    }
  }

  #write (write: Write): void {
    this.#writes.push(write)
    if (write.kind === 'restart') {
      this.log = []
      this.#logBase = write.base
    } else overwrite(this.log, write.entries, this.#logBase)
  }

  #put (write: Write, maxEntries = Infinity): void {
    if (write.kind === 'restart') {
      this.disk.hardState = write.hardState
      this.disk.base = write.base
      this.disk.entries = []
      return
    }
    if (write.hardState !== null) this.disk.hardState = write.hardState
    overwrite(this.disk.entries, write.entries.slice(0, maxEntries), this.disk.base)
  }

  /** The snapshot is on the disk. An older one never replaces a newer one. */
  keepSnapshot (snapshot: CoreSnapshot): void {
    if (snapshot.point.index > (this.disk.snapshot?.point.index ?? 0)) this.disk.snapshot = snapshot
  }

  /** What the core compacts is on the disk. */
  #compactDisk (through: Index): void {
    const last = this.durableEntryAt(through)
    if (last === undefined) throw new Error(`${this.id} drops entry ${through}, which is not on its disk`)
    this.disk.entries.splice(0, through - this.disk.base.index)
    this.disk.base = { index: last.index, term: last.term, timeMs: last.timeMs }
    this.log.splice(0, through - this.#logBase.index)
    this.#logBase = this.disk.base
  }

  #sendSnapshot (to: NodeId): void {
    const { snapshot } = this.disk
    if (snapshot === null) throw new Error(`${this.id} has forgotten entries without a snapshot`)
    this.#host.sendSnapshot?.({ from: this.id, to, term: this.core.view.term, snapshot })
  }

  /** A crash may have come between the end of a snapshot and the new start of the log. */
  #reconcileDisk (): void {
    const found = reconcile({ ...this.disk, snapshot: this.disk.snapshot?.point ?? null })
    if (found.kind === 'missing') throw new Error(`${this.id} has lost its snapshot`)
    if (found.kind === 'agree') return
    const { base, hardState } = found
    this.disk = { ...this.disk, base, hardState, entries: [] }
  }
}

function emptyDisk (): CoreDisk {
  return { base: wholeLog, hardState: emptyHardState, entries: [], snapshot: null }
}

/** Replaces everything from the first given index on. */
function overwrite (log: Entry[], entries: readonly Entry[], base: LogBase): void {
  const first = entries[0]
  if (first === undefined) return
  const position = first.index - base.index - 1
  if (position > log.length || position < 0) throw new Error(`a write leaves a gap before index ${first.index}`)
  log.length = position
  for (const entry of entries) log.push(entry)
}
