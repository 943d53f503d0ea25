import type { Entry } from './core/index.ts'
import { SessionTable, decodeSessionCommand } from './session.ts'
import type { StateMachine } from './state-machine.ts'

/** Sessions that the cluster remembers; the one unused for longest makes room. */
const maxSessions = 1_000

/** Who waits for commands of this node to be applied. */
export interface SessionListener {
  readonly sessionOpened: (id: number, nonce: Uint8Array) => void
  readonly applied: (session: number, sequence: number, answer: unknown) => void
  readonly sessionUnknown: (session: number) => void
}

/**
 * Everything that the log determines: the user's state machine and the sessions that keep a command from being applied
 * to it twice.
 */
export class ReplicatedState {
  readonly #machine: StateMachine
  readonly #listener: SessionListener
  readonly #sessions = new SessionTable(maxSessions)

  constructor (machine: StateMachine, listener: SessionListener) {
    this.#machine = machine
    this.#listener = listener
  }

  /** Applies one committed entry. What it throws, this node can only halt on. */
  apply (entry: Entry): void {
    const context = { index: entry.index, term: entry.term, timeMs: entry.timeMs }
    switch (entry.kind) {
      case 'noop':
        this.#machine.leadershipStarted(context)
        return
      case 'configuration':
        // Took effect when it was appended.
        return
      case 'command':
        this.#applyCommand(entry)
    }
  }

  #applyCommand ({ index, term, timeMs, data }: Entry): void {
    const command = decodeSessionCommand(data)
    if (command.kind === 'open') {
      this.#sessions.open(index)
      this.#listener.sessionOpened(index, command.nonce)
      return
    }
    const { session, sequence, lowestOpen, payload } = command
    const admission = this.#sessions.admit(session, sequence, lowestOpen)
    if (admission === 'apply') {
      this.#listener.applied(session, sequence, this.#machine.apply(payload, { index, term, timeMs }))
    } else if (admission === 'unknown-session') this.#listener.sessionUnknown(session)
  }
}
