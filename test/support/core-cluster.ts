import type {
  ConfigurationChange,
  ConfigureResult,
  CoreLimits,
  Entry,
  Message,
  NodeId,
  Output,
  ProposeResult,
  ReadResult
} from '../../src/raft/core/index.ts'
import { asIndex, asNodeId, asTerm, defaultCoreLimits, wholeLog } from '../../src/raft/core/index.ts'
import { configurationOf } from './configurations.ts'
import type { SnapshotTransfer, Step } from './core-node.ts'
import { CoreNode } from './core-node.ts'

/** Timing of every node in a {@link CoreCluster}, in ticks. */
export const timing = { heartbeatTicks: 2, leaseTicks: 6, electionTicksMin: 10, electionTicksMax: 20 } as const

export interface ClusterOptions {
  /** The first members, unless all nodes: the others are no members until they are added. */
  readonly voters?: readonly string[]
  readonly limits?: Partial<CoreLimits>
  /** Logs to start from, by node: the term of each entry. */
  readonly logs?: Readonly<Record<string, readonly number[]>>
  /** Terms to start from where they are higher than the log's last. */
  readonly terms?: Readonly<Record<string, number>>
  readonly commits?: Readonly<Record<string, number>>
  /** Disks complete every write at once unless this is set. */
  readonly slowDisks?: boolean
  /** Sees every step of every node, in order. */
  readonly onStep?: (node: CoreNode, step: Step, output: Output) => void
}

/** Which messages; all of the given fields must fit. */
export interface MessageFilter {
  readonly from?: string
  readonly to?: string
  readonly kind?: Message['kind'] | ReadonlyArray<Message['kind']>
  readonly term?: number
}

type DistributiveOmit<T, K extends PropertyKey> = T extends unknown ? Omit<T, K> : never

/** A message with plain numbers and names. */
export type PlainMessage = { readonly from: string; readonly to: string; readonly term: number } & DistributiveOmit<
  Message,
  'from' | 'to' | 'term'
>

export function text (command: string): Uint8Array {
  return new TextEncoder().encode(command)
}

/** An entry of a log under test. */
export function entry (index: number, term: number, command?: string): Entry {
  const head = { index: asIndex(index), term: asTerm(term), timeMs: 0 }
  return command === undefined ? { ...head, kind: 'noop' } : { ...head, kind: 'command', data: text(command) }
}

function fits (message: Message, { from, to, kind, term }: MessageFilter): boolean {
  return (from === undefined || message.from === from) && (to === undefined || message.to === to) &&
  (term === undefined || message.term === term) &&
  (kind === undefined || (typeof kind === 'string' ? message.kind === kind : kind.includes(message.kind)))
}

/**
 * Several cores whose messages, disks and clocks move only when the test says so. Nothing in it is left to chance: the
 * election timeouts follow from fixed seeds.
 */
export class CoreCluster {
  readonly #nodes = new Map<string, CoreNode>()
  readonly #slow = new Set<string>()
  readonly #cut = new Set<string>()
  /** Messages on their way, oldest first. */
  pool: Message[] = []
  /** Snapshots on their way, oldest first. */
  snapshots: SnapshotTransfer[] = []
  /** Answers to reads, by node. */
  readonly reads = new Map<string, ReadResult[]>()
  /** Refused messages: node and reason. */
  readonly violations: string[] = []
  /** The leader of each term. */
  readonly leaders = new Map<number, Set<string>>()
  readonly outputs = new Map<string, Output>()
  /** The clocks of all nodes. */
  monotonicMs = 0
  wallMs = 1_000
  #nextContext = 1

  constructor (names: readonly string[], options: ClusterOptions = {}) {
    const voters = (options.voters ?? names).map(asNodeId)
    names.forEach((name, position) => {
      const node = new CoreNode(
        {
          ...timing,
          id: asNodeId(name),
          configuration: configurationOf(voters.includes(asNodeId(name)) ? voters : []),
          seed: 100 + position,
          limits: { ...defaultCoreLimits, ...options.limits }
        },
        {
          clock: { monotonicMs: () => this.monotonicMs, wallMs: () => this.wallMs },
          send: (message) => {
            if (!this.#cut.has(`${message.from}>${message.to}`)) this.pool.push(message)
          },
          sendSnapshot: (transfer) => {
            this.snapshots.push(transfer)
          },
          stepped: (stepped, step, output) => {
            this.#stepped(stepped, step, output)
            options.onStep?.(stepped, step, output)
          }
        }
      )
      const terms = options.logs?.[name] ?? []
      node.disk = {
        base: wholeLog,
        snapshot: null,
        hardState: {
          term: asTerm(Math.max(options.terms?.[name] ?? 0, terms.at(-1) ?? 0)),
          vote: null,
          commit: asIndex(options.commits?.[name] ?? 0)
        },
        entries: terms.map((term, offset) => entry(offset + 1, term, `${offset + 1}/${term}`))
      }
      this.#nodes.set(name, node)
      this.reads.set(name, [])
      if (options.slowDisks === true) this.#slow.add(name)
      node.start()
    })
  }

  node (name: string): CoreNode {
    const node = this.#nodes.get(name)
    if (node === undefined) throw new Error(`no node ${name}`)
    return node
  }

  get up (): readonly CoreNode[] {
    return [...this.#nodes.values()].filter((node) => node.isUp)
  }

  view (name: string): { readonly role: string; readonly term: number; readonly leader: string | null } {
    return this.node(name).core.view
  }

  role (name: string): string {
    return this.view(name).role
  }

  term (name: string): number {
    return this.view(name).term
  }

  /** Terms of the log's entries. */
  logTerms (name: string): number[] {
    return this.node(name).log.map(({ term }) => term)
  }

  diskTerms (name: string): number[] {
    return this.node(name).disk.entries.map(({ term }) => term)
  }

  commitIndex (name: string): number {
    return this.node(name).core.commitIndex
  }

  /** Commands applied since the last start. */
  applied (name: string): string[] {
    return this.node(name)
      .applied.flatMap((one) => one.kind === 'command' ? new TextDecoder().decode(one.data) : [])
  }

  // Disks

  slowDisk (name: string): void {
    this.#slow.add(name)
  }

  fastDisk (name: string): void {
    this.#slow.delete(name)
    this.persist(name)
  }

  /** Completes writes until none is left. */
  persist (...names: readonly string[]): void {
    for (const name of names) while (this.node(name).pendingWrites.length > 0) this.node(name).persist()
  }

  #flushDisks (): void {
    for (const [name, node] of this.#nodes) if (node.isUp && !this.#slow.has(name)) this.persist(name)
  }

  #stepped (node: CoreNode, step: Step, output: Output): void {
    this.reads.get(node.id)?.push(...output.reads)
    this.outputs.set(node.id, output)
    if ('violation' in step && step.violation !== null) this.violations.push(`${node.id}: ${step.violation.message}`)
    const { role, term } = node.core.view
    if (role === 'leader') this.leaders.set(term, (this.leaders.get(term) ?? new Set()).add(node.id))
  }

  // Messages

  matching (filter: MessageFilter): Message[] {
    return this.pool.filter((message) => fits(message, filter))
  }

  /** Takes messages out of the pool. */
  take (filter: MessageFilter = {}): Message[] {
    const taken = this.matching(filter)
    this.pool = this.pool.filter((message) => !taken.includes(message))
    return taken
  }

  drop (filter: MessageFilter = {}): number {
    return this.take(filter).length
  }

  /** Delivers the messages that are in the pool now, in order; messages sent because of them stay in the pool. */
  deliver (filter: MessageFilter = {}): number {
    const taken = this.take(filter)
    for (const message of taken) this.hand(message)
    return taken.length
  }

  /** Delivers copies and leaves the messages in the pool. */
  duplicate (filter: MessageFilter = {}): void {
    for (const message of this.matching(filter)) this.hand(message)
  }

  /** Hands over one message, from the pool or from nowhere. */
  hand (message: Message): Output | null {
    const node = this.node(message.to)
    if (!node.isUp) return null
    const output = node.receive(message)
    this.#flushDisks()
    return output
  }

  /** Hands over a message made up by the test. */
  inject (message: PlainMessage): Output | null {
    return this.hand(message as Message)
  }

  /** Hands over a snapshot and, unless told, tells its sender that it arrived. */
  handSnapshot (transfer: SnapshotTransfer, isReported = true): Output | null {
    const node = this.node(transfer.to)
    if (!node.isUp || this.#cut.has(`${transfer.from}>${transfer.to}`)) {
      this.#tellSender(transfer, false)
      return null
    }
    const output = node.receiveSnapshot(transfer)
    this.#flushDisks()
    if (isReported) this.#tellSender(transfer, true)
    return output
  }

  #tellSender ({ from, to, snapshot }: SnapshotTransfer, isSent: boolean): void {
    const sender = this.node(from)
    if (!sender.isUp) return
    if (isSent) sender.snapshotSent(to, snapshot.point.index)
    else sender.snapshotFailed(to)
  }

  /** Takes the snapshots that are on their way. */
  takeSnapshots (): SnapshotTransfer[] {
    return this.snapshots.splice(0)
  }

  /** Delivers everything, and all that follows from it, until nothing is left. */
  settle (): void {
    this.#flushDisks()
    for (let round = 0; this.pool.length > 0 || this.snapshots.length > 0; round++) {
      if (round > 10_000) throw new Error('the cluster does not come to rest')
      this.deliver()
      for (const transfer of this.takeSnapshots()) this.handSnapshot(transfer)
    }
  }

  /** Cuts the links of these nodes to all others; messages on these links are lost. */
  isolate (...names: readonly string[]): void {
    for (const inside of names) {
      for (const outside of this.#nodes.keys()) if (!names.includes(outside)) this.cut(inside, outside)
    }
  }

  cut (one: string, other: string): void {
    this.cutOneWay(one, other)
    this.cutOneWay(other, one)
  }

  cutOneWay (from: string, to: string): void {
    this.#cut.add(`${from}>${to}`)
    this.drop({ from, to })
  }

  heal (): void {
    this.#cut.clear()
  }

  // Time

  tick (name: string, count = 1): void {
    for (let left = count; left > 0; left--) {
      this.node(name).tick()
      this.#flushDisks()
    }
  }

  /** All nodes tick together, and all messages arrive, `count` times. */
  run (count: number): void {
    for (let left = count; left > 0; left--) {
      this.monotonicMs++
      this.wallMs++
      for (const node of this.up) node.tick()
      this.settle()
    }
  }

  /** Runs until the condition holds. */
  runUntil (holds: () => boolean, limit = 500): void {
    for (let left = limit; !holds(); left--) {
      if (left === 0) throw new Error(`not reached within ${limit} ticks`)
      this.run(1)
    }
  }

  /** Lets every promise of silence to an earlier leader lapse, without a message getting out. */
  forgetLeaders (): void {
    for (const node of this.up) {
      for (let left: number = timing.electionTicksMin; left > 0; left--) node.tick()
    }
    this.#flushDisks()
    this.drop({ kind: ['pre-vote-request', 'vote-request', 'heartbeat-request', 'append-request'] })
  }

  /** Ticks one node until its election timeout has passed and it asks for votes or pre-votes. */
  startCampaign (name: string): void {
    for (let left: number = timing.electionTicksMax + 1; left > 0; left--) {
      const { role } = this.view(name)
      if (
        role !== 'follower' &&
        this.matching({ from: name, kind: ['pre-vote-request', 'vote-request'] }).length > 0
      ) {
        return
      }
      if (role === 'leader') return
      this.tick(name)
    }
    if (this.role(name) === 'follower') throw new Error(`${name} did not campaign`)
  }

  /** Makes this node the leader and lets the cluster come to rest. */
  elect (name: string): void {
    this.forgetLeaders()
    this.startCampaign(name)
    this.settle()
    if (this.role(name) !== 'leader') throw new Error(`${name} lost: it is ${this.role(name)}`)
  }

  // Clients

  propose (name: string, ...commands: readonly string[]): ProposeResult {
    const result = this.node(name).propose(...commands.map(text))
    this.#flushDisks()
    return result
  }

  /** Changes the configuration; returns the result. */
  configure (name: string, ...changes: readonly ConfigurationChange[]): ConfigureResult {
    const result = this.node(name).configure(changes)
    this.#flushDisks()
    return result
  }

  /** The configuration in force on a node: voters, outgoing voters, learners. */
  members (name: string): {
    readonly voters: readonly string[]
    readonly outgoing: readonly string[]
    readonly learners: readonly string[]
  } {
    const { voters, outgoing, learners } = this.node(name).core.configuration
    return { voters, outgoing, learners }
  }

  /** Asks for a read index; the answer appears in {@link reads}. Returns the context. */
  read (name: string): number {
    const context = this.#nextContext++
    this.node(name).read([context])
    return context
  }

  readResult (name: string, context: number): ReadResult | undefined {
    return this.reads.get(name)?.find((read) => read.context === context)
  }

  // Faults

  crash (name: string): void {
    this.node(name).crash()
  }

  restart (name: string): void {
    if (this.node(name).isUp) this.node(name).crash()
    this.node(name).start()
  }
}

/** A cluster of this many nodes named n1, n2, and so on. */
export function clusterOf (size: number, options: ClusterOptions = {}): CoreCluster {
  return new CoreCluster(Array.from({ length: size }, (_, position) => `n${position + 1}`), options)
}

export function id (name: string): NodeId {
  return asNodeId(name)
}

/** Fields of an append request made up by a test. */
export interface AppendOptions {
  readonly from: string
  readonly to: string
  readonly term: number
  readonly prev?: readonly [index: number, term: number]
  readonly entries?: readonly Entry[]
  readonly commit?: number
}

/** An append request made up by a test. */
export function append ({ from, to, term, prev = [0, 0], entries = [], commit = 0 }: AppendOptions): PlainMessage {
  return {
    kind: 'append-request',
    from,
    to,
    term,
    prevIndex: asIndex(prev[0]),
    prevTerm: asTerm(prev[1]),
    entries,
    commit: asIndex(commit)
  }
}
