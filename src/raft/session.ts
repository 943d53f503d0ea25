import { BinaryReader, BinaryWriter } from './transport/binary.ts'

/** A command as it stands in the log: which client session it belongs to, and its place in it. */
export type SessionCommand =
  /** Opens a session; its id is the index of this entry. The nonce tells the opener which one is its own. */
  | { readonly kind: 'open', readonly nonce: Uint8Array }
  | {
    readonly kind: 'command'
    readonly session: number
    readonly sequence: number
    /** The client has no open command below this sequence; none will be sent again. */
    readonly lowestOpen: number
    readonly payload: Uint8Array
  }

export const nonceBytes = 16

export const encodeSessionCommand = (command: SessionCommand): Uint8Array => {
  const writer = new BinaryWriter(command.kind === 'open' ? 32 : command.payload.byteLength + 32)
  if (command.kind === 'open') {
    writer.byte(0)
    writer.raw(command.nonce)
  } else {
    writer.byte(1)
    writer.number(command.session)
    writer.number(command.sequence)
    writer.number(command.lowestOpen)
    writer.raw(command.payload)
  }
  return writer.finish()
}

/** Throws `RAFT_MALFORMED_MESSAGE` for anything that {@link encodeSessionCommand} does not produce. */
export const decodeSessionCommand = (data: Uint8Array): SessionCommand => {
  const reader = new BinaryReader(data)
  if (reader.byte() === 0) {
    const nonce = reader.raw(nonceBytes)
    reader.end()
    return { kind: 'open', nonce }
  }
  const session = reader.number()
  const sequence = reader.number()
  const lowestOpen = reader.number()
  return { kind: 'command', session, sequence, lowestOpen, payload: reader.raw(reader.remaining) }
}

interface Session {
  lowestOpen: number
  readonly applied: Set<number>
}

/**
 * Which commands of which clients have been applied: part of the replicated state, so that a command that was sent
 * twice, through whichever leaders, is applied once (dissertation section 6.3).
 *
 * The number of sessions is bounded; the one unused for the longest stretch of the log goes first. A command of a
 * session that is gone is never applied.
 */
export class SessionTable {
  readonly #maxSessions: number
  /** In order of last use, the longest unused first. */
  readonly #sessions = new Map<number, Session>()

  constructor (maxSessions: number) {
    this.#maxSessions = maxSessions
  }

  open (session: number): void {
    this.#sessions.set(session, { lowestOpen: 1, applied: new Set() })
    if (this.#sessions.size <= this.#maxSessions) return
    const [longestUnused] = this.#sessions.keys()
    if (longestUnused !== undefined) this.#sessions.delete(longestUnused)
  }

  /** Decides whether a command is to be applied, and remembers that it was. */
  admit (id: number, sequence: number, lowestOpen: number): 'apply' | 'duplicate' | 'unknown-session' {
    const session = this.#sessions.get(id)
    if (session === undefined) return 'unknown-session'
    this.#sessions.delete(id)
    this.#sessions.set(id, session)
    if (sequence < session.lowestOpen || session.applied.has(sequence)) return 'duplicate'
    session.applied.add(sequence)
    if (lowestOpen > session.lowestOpen) {
      session.lowestOpen = lowestOpen
      for (const old of session.applied) if (old < lowestOpen) session.applied.delete(old)
    }
    return 'apply'
  }
}
