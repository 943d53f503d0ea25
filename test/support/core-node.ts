import { RaftCore, emptyHardState } from '../../src/raft/core/index.ts'
import type { CoreConfig, Entry, HardState, Input, Message, NodeId, Output, Write } from '../../src/raft/core/index.ts'

/** The production core, or a deliberately broken copy of it. */
export type CoreConstructor = new (
  config: CoreConfig,
  recovered: { readonly hardState: HardState, readonly entries: readonly Entry[] }
) => RaftCore

/** What a {@link CoreNode} tells the harness around it. */
export interface CoreNodeHost {
  /** Wall clock in milliseconds. */
  wallMs: () => number
  /** The message leaves the node now. */
  send: (message: Message) => void
  /** One input was taken. */
  stepped: (node: CoreNode, input: Input, output: Output) => void
  core?: CoreConstructor
  /** A broken driver lets these promises out before the disk has them. */
  releasesEarly?: (message: Message) => boolean
}

interface HeldMessage {
  readonly until: number
  readonly message: Message
}

/** How much of the writes under way reaches the disk when a node crashes. */
export interface CrashPoint {
  /** Writes that are complete on the disk although nobody was told. */
  readonly completeWrites: number
  /** Entries of the next write that reached the disk behind its hard state; null: nothing of it did. */
  readonly tornEntries: number | null
}

const nothingMore: CrashPoint = { completeWrites: 0, tornEntries: null }

/**
 * The smallest correct driver: one core, one disk that completes writes when told to, and the promises that wait for
 * it. A crash loses everything but the disk.
 */
export class CoreNode {
  readonly config: CoreConfig
  readonly #host: CoreNodeHost
  #core: RaftCore | null = null
  #writes: Write[] = []
  #held: HeldMessage[] = []
  #persisted = 0
  /** What a restart finds. */
  disk: { hardState: HardState, entries: Entry[] } = { hardState: emptyHardState, entries: [] }
  /** The log as the running core sees it. */
  log: Entry[] = []
  /** Entries handed out to be applied since the start. */
  applied: Entry[] = []
  starts = 0

  constructor (config: CoreConfig, host: CoreNodeHost) {
    this.config = config
    this.#host = host
  }

  get id (): NodeId { return this.config.id }
  get isUp (): boolean { return this.#core !== null }
  get pendingWrites (): readonly Write[] { return this.#writes }
  get heldMessages (): readonly Message[] { return this.#held.map((held) => held.message) }

  get core (): RaftCore {
    if (this.#core === null) throw new Error(`${this.id} is down`)
    return this.#core
  }

  /** Starts from the disk. */
  start (): void {
    if (this.#core !== null) throw new Error(`${this.id} runs already`)
    const Core = this.#host.core ?? RaftCore
    const config = { ...this.config, seed: this.config.seed + 7919 * this.starts }
    this.#core = new Core(config, { hardState: this.disk.hardState, entries: [...this.disk.entries] })
    this.log = [...this.disk.entries]
    this.applied = []
    this.#persisted = 0
    this.starts++
  }

  step (input: Input): Output {
    const output = this.core.step(input)
    if (output.write !== null) {
      this.#writes.push(output.write)
      overwrite(this.log, output.write.entries)
    }
    for (const entry of output.committed) this.applied.push(entry)
    this.#host.stepped(this, input, output)
    for (const message of output.messages) this.#host.send(message)
    for (const message of output.deferred) {
      if (output.deferredUntil <= this.#persisted || this.#host.releasesEarly?.(message) === true) this.#host.send(message)
      else this.#held.push({ until: output.deferredUntil, message })
    }
    return output
  }

  tick (): Output { return this.step({ kind: 'tick', wallMs: this.#host.wallMs() }) }
  receive (message: Message): Output { return this.step({ kind: 'receive', message, wallMs: this.#host.wallMs() }) }

  propose (...commands: readonly Uint8Array[]): Output {
    return this.step({ kind: 'propose', proposals: commands.map((data) => ({ data })), wallMs: this.#host.wallMs() })
  }

  /** The disk completes the oldest writes; the core hears of the last of them only. */
  persist (count = 1): Output | null {
    const done = this.#writes.splice(0, count)
    for (const write of done) this.#put(write, write.entries.length)
    const last = done.at(-1)
    if (last === undefined) return null
    this.#persisted = last.id
    const released = this.#held.filter((held) => held.until <= last.id)
    this.#held = this.#held.filter((held) => held.until > last.id)
    for (const { message } of released) this.#host.send(message)
    return this.step({ kind: 'persisted', writeId: last.id, wallMs: this.#host.wallMs() })
  }

  /** Stops at once. Whatever the disk had not confirmed is lost, except as `point` says. */
  crash (point: CrashPoint = nothingMore): void {
    const { completeWrites, tornEntries } = point
    for (const write of this.#writes.slice(0, completeWrites)) this.#put(write, write.entries.length)
    const torn = this.#writes[completeWrites]
    if (torn !== undefined && tornEntries !== null) this.#put(torn, Math.min(tornEntries, torn.entries.length))
    this.#core = null
    this.#writes = []
    this.#held = []
  }

  /** Loses the disk, too. */
  wipe (): void {
    this.disk = { hardState: emptyHardState, entries: [] }
  }

  #put (write: Write, entryCount: number): void {
    if (write.hardState !== null) this.disk.hardState = write.hardState
    overwrite(this.disk.entries, write.entries.slice(0, entryCount))
  }
}

/** Replaces everything from the first given index on. */
const overwrite = (log: Entry[], entries: readonly Entry[]): void => {
  const first = entries[0]
  if (first === undefined) return
  if (first.index > log.length + 1) throw new Error(`a write leaves a gap before index ${first.index}`)
  log.length = first.index - 1
  for (const entry of entries) log.push(entry)
}
