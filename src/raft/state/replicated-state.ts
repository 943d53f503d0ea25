import type { CommandEntry, Entry } from '../core/index.ts'
import { SnapshotCorruptError, SnapshotVersionError } from '../errors.ts'
import { decodeEnvelope } from './command-envelope.ts'
import { checkVersion, decodeSections, encodeSections } from './sections.ts'
import type { CommandOutcome } from './session-table.ts'
import { SessionTable } from './session-table.ts'
import type { StateHashes } from './state-hashes.ts'
import type { ApplyContext, StateMachine } from './state-machine.ts'
import { TimeOfDay } from './time-of-day.ts'

/** Tells which commands have been applied, and their answers. */
export interface SessionView {
  readonly outcomeOf: (session: number, sequence: number) => CommandOutcome
}

/** The client that waits for commands of this node to be applied. */
export interface SessionListener {
  readonly sessionOpened: (id: number, nonce: Uint8Array) => void
  /** A command was applied, now or before. */
  readonly applied: (session: number, sequence: number, answer: unknown) => void
  /** A command was applied before, and its answer is no longer kept. */
  readonly answerGone: (session: number, sequence: number) => void
  readonly sessionUnknown: (session: number) => void
  /** The whole state was replaced: the entries that the snapshot covers are never applied one by one here. */
  readonly restored: (sessions: SessionView) => void
}

const sessionsSection = { name: 'sessions', version: 1 } as const
const timeSection = { name: 'time', version: 1 } as const
const machineSection = { name: 'machine', version: 1 } as const

/**
 * The state that the log determines: the user's state machine, the sessions which prevent that a command is applied to
 * it twice, and the time of day.
 */
export class ReplicatedState {
  readonly #machine: StateMachine
  readonly #listener: SessionListener
  readonly #hashes: StateHashes | null
  #sessions = new SessionTable()
  #timeOfDay = new TimeOfDay()

  /** With `hashes`, states are compared between nodes. */
  constructor (machine: StateMachine, listener: SessionListener, hashes: StateHashes | null = null) {
    this.#machine = machine
    this.#listener = listener
    this.#hashes = hashes
  }

  get sessions (): SessionTable { return this.#sessions }

  /** Applies one committed entry. The node must halt when it throws. */
  apply (entry: Entry): void {
    this.#hashes?.check()
    this.#apply(entry)
    this.#hashes?.applied(entry.index, this)
  }

  /** Captures all of it, as {@link StateMachine.snapshot} does. */
  snapshot (): AsyncIterable<Uint8Array> {
    return encodeSections([
      { ...sessionsSection, records: this.#sessions.capture() },
      { ...timeSection, records: this.#timeOfDay.capture() },
      // The state machine comes last: its reader reaches the end of the section only after the whole stream was
      // checked.
      { ...machineSection, records: this.#machine.snapshot() }
    ])
  }

  /**
   * Replaces all of it, as {@link StateMachine.restore} does, and tells the client of this node: its commands may be
   * covered by the snapshot, and then they are never applied here.
   */
  async restore (source: AsyncIterable<Uint8Array>): Promise<void> {
    let sessions: SessionTable | null = null
    let timeOfDay: TimeOfDay | null = null
    let isMachineRestored = false
    for await (const section of decodeSections(source)) {
      switch (section.name) {
        case sessionsSection.name:
          checkVersion(section, sessionsSection.version)
          sessions = await SessionTable.read(section.records)
          break
        case timeSection.name:
          checkVersion(section, timeSection.version)
          timeOfDay = await TimeOfDay.read(section.records)
          break
        case machineSection.name:
          checkVersion(section, machineSection.version)
          if (sessions === null) throw missing(sessionsSection.name)
          if (timeOfDay === null) throw missing(timeSection.name)
          await this.#machine.restore(section.records)
          isMachineRestored = true
          break
        default:
          throw new SnapshotVersionError(
            `The snapshot's state has a section "${section.name}", which this release does not know. Use the ` +
              'release that wrote it, or a later one.'
          )
      }
    }
    if (sessions === null) throw missing(sessionsSection.name)
    if (timeOfDay === null) throw missing(timeSection.name)
    if (!isMachineRestored) throw missing(machineSection.name)
    this.#sessions = sessions
    this.#timeOfDay = timeOfDay
    this.#listener.restored(sessions)
  }

  #apply (entry: Entry): void {
    switch (entry.kind) {
      case 'noop':
        this.#machine.leadershipStarted(this.#contextOf(entry))
        return
      case 'configuration':
        // A configuration took effect when it was appended.
        return
      case 'command':
        this.#applyCommand(entry)
    }
  }

  #contextOf ({ index, term, timeMs }: Entry): ApplyContext {
    return { index, term, timeMs, timeOfDayMs: this.#timeOfDay.at(timeMs) }
  }

  #applyCommand (entry: CommandEntry): void {
    const { index, timeMs } = entry
    const command = decodeEnvelope(entry.data)
    if (command.kind === 'open') {
      this.#sessions.open(command.ttlMs, { index, timeMs })
      this.#listener.sessionOpened(index, command.nonce)
      return
    }
    if (command.kind === 'checkpoint') {
      this.#hashes?.leaderHas(command.index, command.hash)
      return
    }
    if (command.kind === 'clock') {
      this.#timeOfDay.set(command.wallMs, timeMs)
      return
    }
    const { session, sequence, lowestOpen, payload } = command
    const context = this.#contextOf(entry)
    const outcome = this.#sessions.check(session, sequence, lowestOpen, context)
    switch (outcome.kind) {
      case 'not-applied': {
        const answer = this.#machine.apply(payload, context)
        this.#sessions.applied(session, sequence, answer)
        this.#listener.applied(session, sequence, answer)
        return
      }
      case 'applied':
        this.#listener.applied(session, sequence, outcome.answer)
        return
      case 'answer-gone':
        this.#listener.answerGone(session, sequence)
        return
      case 'unknown-session':
        this.#listener.sessionUnknown(session)
    }
  }
}

function missing (name: string): Error {
  return new SnapshotCorruptError(`The snapshot's state has no section "${name}".`)
}
