import type { ApplyContext } from '../../raft/index.ts'
import type { OwnerSessionAnswer } from './answer.ts'
import { refuse } from './answer.ts'
import type { SessionEndCommand, SessionExpireCommand, SessionKeepCommand, SessionOpenCommand } from './command.ts'
import { limits } from './limits.ts'
import type { SnapshotPart } from './snapshot-records.ts'
import { fieldsOf, malformed, recordOf, textOf } from './snapshot-records.ts'
import { isIndex, isOwner, isRequestId, isSessionTtl, isToken } from './validate.ts'

/** A session that owns things of the replicated state, which end with it. */
export interface OwnerSession {
  /** Log index of its opening. */
  readonly id: number
  /** Name of who keeps it, for people to read. */
  readonly owner: string
  /** The request that opened it: the same one again gets the same session. */
  readonly requestId: string
  /** The log that its process keeps; null for a session of somebody who keeps none. */
  readonly log: string | null
  /** How long it lives after a beat, in milliseconds. */
  readonly ttlMs: number
  /** Number of the last beat that is in the log; 0 before the first. */
  readonly beat: number
}

/** What happened to a session. `ended`: by its owner, or by the next process on the same log. */
export interface OwnerSessionChange {
  readonly kind: 'opened' | 'kept' | 'ended' | 'expired'
  readonly session: OwnerSession
}

/** Called with every session that ends, at the entry that ends it: what it owned ends with it. */
type SessionEnded = (session: OwnerSession, context: ApplyContext) => void

const part = 'owner sessions'

/**
 * The sessions that own locks, keys and tasks. Holds no deadline, like the lock table: the leader measures how long a
 * session had no beat, and writes an `expire`, which applies only when no beat came since.
 */
export class OwnerSessionTable implements SnapshotPart {
  #sessions = new Map<number, OwnerSession>()
  readonly #ended: SessionEnded
  readonly #changed: (change: OwnerSessionChange) => void

  constructor (ended: SessionEnded = () => {}, changed: (change: OwnerSessionChange) => void = () => {}) {
    this.#ended = ended
    this.#changed = changed
  }

  /** Opens a session. A log has one process at a time, so that the sessions of those before it end here. */
  open (command: SessionOpenCommand, context: ApplyContext): OwnerSessionAnswer {
    const { owner, requestId, ttlMs, log = null } = command
    const before: OwnerSession[] = []
    for (const session of this.#sessions.values()) {
      if (session.requestId === requestId) return { kind: 'session-opened', session: session.id }
      if (log !== null && session.log === log) before.push(session)
    }
    for (const session of before) this.#end('ended', session, context)
    if (this.#sessions.size >= limits.maxOwnerSessions) {
      return refuse('RAFT_BUSY', `${limits.maxOwnerSessions} sessions are open`)
    }
    const session: OwnerSession = { id: context.index, owner, requestId, log, ttlMs, beat: 0 }
    this.#sessions.set(session.id, session)
    this.#changed({ kind: 'opened', session })
    return { kind: 'session-opened', session: session.id }
  }

  /** Notes beats, of any number of sessions at once. A beat that was overtaken counts for nothing. */
  keep ({ beats }: SessionKeepCommand): OwnerSessionAnswer {
    const gone: number[] = []
    for (const [id, number] of beats) {
      const session = this.#sessions.get(id)
      const beat = number === 0 ? (session?.beat ?? 0) + 1 : number
      if (session === undefined) gone.push(id)
      else if (beat > session.beat) {
        const kept = { ...session, beat }
        this.#sessions.set(id, kept)
        this.#changed({ kind: 'kept', session: kept })
      }
    }
    return { kind: 'sessions-kept', gone }
  }

  /** Ends a session for its owner. */
  end ({ session: id }: SessionEndCommand, context: ApplyContext): OwnerSessionAnswer {
    const session = this.#sessions.get(id)
    if (session === undefined) return { kind: 'session-gone', session: id }
    this.#end('ended', session, context)
    return { kind: 'session-ended', session: id }
  }

  /** Ends a session that had no beat in time, unless one came since that was measured. */
  expire ({ session: id, beat }: SessionExpireCommand, context: ApplyContext): OwnerSessionAnswer {
    const session = this.#sessions.get(id)
    if (session?.beat !== beat) return { kind: 'session-gone', session: id }
    this.#end('expired', session, context)
    return { kind: 'session-ended', session: id }
  }

  /** A session as applied on this node; undefined when it is over. */
  get (id: number): OwnerSession | undefined { return this.#sessions.get(id) }

  /** All open sessions as applied on this node, in the order of their opening. */
  all (): IterableIterator<OwnerSession> { return this.#sessions.values() }

  get size (): number { return this.#sessions.size }

  capture (): Iterable<Uint8Array> {
    return encodeRecords([...this.#sessions.values()])
  }

  async read (records: AsyncIterable<Uint8Array>): Promise<() => void> {
    const sessions = new Map<number, OwnerSession>()
    let lastId = 0
    for await (const record of records) {
      const session = readSession(fieldsOf(textOf(record, part), part))
      if (session.id <= lastId) throw malformed(part)
      lastId = session.id
      sessions.set(session.id, session)
    }
    if (sessions.size > limits.maxOwnerSessions) throw malformed(part)
    return () => { this.#replace(sessions) }
  }

  /** The whole content, as JSON. */
  toJSON (): unknown { return [...this.#sessions.values()] }

  /** Tells of every session that differs from before. What they own is replaced as well. */
  #replace (sessions: Map<number, OwnerSession>): void {
    const before = this.#sessions
    this.#sessions = sessions
    for (const session of before.values()) {
      if (!sessions.has(session.id)) this.#changed({ kind: 'ended', session })
    }
    for (const session of sessions.values()) {
      const known = before.get(session.id)
      if (known === undefined) this.#changed({ kind: 'opened', session })
      else if (known.beat !== session.beat) this.#changed({ kind: 'kept', session })
    }
  }

  #end (kind: 'ended' | 'expired', session: OwnerSession, context: ApplyContext): void {
    this.#sessions.delete(session.id)
    this.#ended(session, context)
    this.#changed({ kind, session })
  }
}

function * encodeRecords (sessions: readonly OwnerSession[]): Generator<Uint8Array, void, undefined> {
  for (const { id, owner, requestId, log, ttlMs, beat } of sessions) {
    yield recordOf(id, owner, requestId, log, ttlMs, beat)
  }
}

function readSession ([id, owner, requestId, log, ttlMs, beat, ...more]: readonly unknown[]): OwnerSession {
  const isSession =
    isToken(id) &&
    isOwner(owner) &&
    isRequestId(requestId) &&
    (log === null || isRequestId(log)) &&
    isSessionTtl(ttlMs) &&
    isIndex(beat) &&
    more.length === 0
  if (!isSession) throw malformed(part)
  return { id, owner, requestId, log, ttlMs, beat } as OwnerSession
}
