import type { CommandEntry, Entry } from '../core/index.ts'
import { SnapshotCorruptError, SnapshotVersionError } from '../errors.ts'
import { decodeEnvelope } from './command-envelope.ts'
import { checkVersion, decodeSections, encodeSections } from './sections.ts'
import type { CommandOutcome } from './session-table.ts'
import { SessionTable } from './session-table.ts'
import type { StateHashes } from './state-hashes.ts'
import type { StateMachine } from './state-machine.ts'

/** Which commands have been applied, and how they were answered. */
export interface SessionView {
  readonly outcomeOf: (session: number, sequence: number) => CommandOutcome
}

/** The client that waits for commands of this node to be applied. */
export interface SessionListener {
  readonly sessionOpened: (id: number, nonce: Uint8Array) => void
  /** A command was applied, now or before. */
  readonly applied: (session: number, sequence: number, answer: unknown) => void
  /** A command was applied before, and its answer is gone. */
  readonly answerGone: (session: number, sequence: number) => void
  readonly sessionUnknown: (session: number) => void
  /** The whole state was replaced: entries in between will never be applied one by one. */
  readonly restored: (sessions: SessionView) => void
}

const sessionsSection = { name: 'sessions', version: 1 } as const
const machineSection = { name: 'machine', version: 1 } as const

/**
 * Everything that the log determines: the user's state machine and the sessions that keep a command from being applied
 * to it twice.
 */
export class ReplicatedState {
  readonly #machine: StateMachine
  readonly #listener: SessionListener
  readonly #hashes: StateHashes | null
  #sessions = new SessionTable()

  /** With `hashes`, states are compared between nodes. */
  constructor (machine: StateMachine, listener: SessionListener, hashes: StateHashes | null = null) {
    this.#machine = machine
    this.#listener = listener
    this.#hashes = hashes
  }

  get sessions (): SessionTable { return this.#sessions }

  /** Applies one committed entry. The node has to halt when it throws. */
  apply (entry: Entry): void {
    this.#hashes?.check()
    this.#apply(entry)
    this.#hashes?.applied(entry.index, this)
  }

  /** Captures all of it, as {@link StateMachine.snapshot} does. */
  snapshot (): AsyncIterable<Uint8Array> {
    return encodeSections([
      { ...sessionsSection, records: this.#sessions.capture() },
      // Last: its reader sees the end of its section only once the end of the whole was checked.
      { ...machineSection, records: this.#machine.snapshot() }
    ])
  }

  /**
   * Replaces all of it, as {@link StateMachine.restore} does, and tells the client of this node: its commands may have
   * been applied before the snapshot was taken, and will not be seen any more.
   */
  async restore (source: AsyncIterable<Uint8Array>): Promise<void> {
    let sessions: SessionTable | null = null
    let isMachineRestored = false
    for await (const section of decodeSections(source)) {
      switch (section.name) {
        case sessionsSection.name:
          checkVersion(section, sessionsSection.version)
          sessions = await SessionTable.read(section.records)
          break
        case machineSection.name:
          checkVersion(section, machineSection.version)
          if (sessions === null) throw missing(sessionsSection.name)
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
    if (!isMachineRestored) throw missing(machineSection.name)
    this.#sessions = sessions
    this.#listener.restored(sessions)
  }

  #apply (entry: Entry): void {
    switch (entry.kind) {
      case 'noop':
        this.#machine.leadershipStarted({ index: entry.index, term: entry.term, timeMs: entry.timeMs })
        return
      case 'configuration':
        // Took effect when it was appended.
        return
      case 'command':
        this.#applyCommand(entry)
    }
  }

  #applyCommand ({ index, term, timeMs, data }: CommandEntry): void {
    const command = decodeEnvelope(data)
    if (command.kind === 'open') {
      this.#sessions.open(command.ttlMs, { index, timeMs })
      this.#listener.sessionOpened(index, command.nonce)
      return
    }
    if (command.kind === 'checkpoint') {
      this.#hashes?.leaderHas(command.index, command.hash)
      return
    }
    const { session, sequence, lowestOpen, payload } = command
    const context = { index, term, timeMs }
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
