import { SnapshotCorruptError } from '../errors.ts'
import { parseArray } from './json-record.ts'
import { SequenceWindow } from './sequence-window.ts'

/**
 * Limits on client sessions. They are part of the replicated state and therefore constants: every node must drop the
 * same sessions and answers at the same entry.
 */
export const sessionLimits = {
  /** Most sessions; past it the session unused for longest ends. */
  maxSessions: 1_000,
  /** How far the sequence of a command may be ahead of the lowest sequence that its client still waits for. */
  maxWindow: 262_144,
  /** Most answers of all sessions together, dropped ones included; past it the session unused for longest ends. */
  maxAnswers: 1_048_576,
  /** Most bytes of all kept answers; past it those of the session unused for longest are dropped first. */
  maxAnswerBytes: 67_108_864,
  /** An answer larger than this is not kept. */
  maxAnswerBytesEach: 1_048_576,
  /** Shortest and longest time to live that a session may be opened with, in milliseconds of log time. */
  minTtlMs: 10_000,
  maxTtlMs: 86_400_000
} as const

/** Bounds of a session table; {@link sessionLimits} except in tests. */
export type SessionLimits = { readonly [Limit in keyof typeof sessionLimits]: number }

/** A kept answer, which its client may ask for again; JSON. */
interface KeptAnswer {
  readonly value: unknown
  readonly bytes: number
}

/** Stands for an answer that was dropped to make room: its command was applied. */
const forgotten = { value: undefined, bytes: 0 } as const satisfies KeptAnswer

interface Session {
  readonly ttlMs: number
  /** Log time and index of its last command. */
  usedMs: number
  usedIndex: number
  lowestOpen: number
  /** Answers of the commands from `lowestOpen` on that were applied. */
  readonly answers: SequenceWindow<KeptAnswer>
}

/** Whether a command was applied, and how it was answered. */
export type CommandOutcome =
  | { readonly kind: 'not-applied' }
  | { readonly kind: 'applied', readonly answer: unknown }
  /** The command was applied, and its answer is gone. */
  | { readonly kind: 'answer-gone' }
  /** The session was never opened, or has ended. The command may have been applied before it ended. */
  | { readonly kind: 'unknown-session' }

const unknownSession = { kind: 'unknown-session' } as const
const notApplied = { kind: 'not-applied' } as const
const answerGone = { kind: 'answer-gone' } as const

/** Index and log time of a command's entry. */
interface SessionContext {
  readonly index: number
  readonly timeMs: number
}

/**
 * The applied commands of all clients with their answers. The table is part of the replicated state: a command that was
 * sent twice, also through two leaders, is applied once and gets the same answer twice (dissertation section 6.3).
 *
 * A session ends when it was not used for its time to live in log time. When there are too many sessions, the session
 * unused for longest ends. A command of a session that has ended is never applied. Answers are kept until the client no
 * longer waits for them.
 */
export class SessionTable {
  readonly #limits: SessionLimits
  readonly #sessions = new Map<number, Session>()
  #answers = 0
  #answerBytes = 0

  constructor (limits: SessionLimits = sessionLimits) {
    this.#limits = limits
  }

  get size (): number { return this.#sessions.size }
  /** Number of answers kept, and of commands whose answer is gone. */
  get answers (): number { return this.#answers }
  /** Approximate size of the kept answers, in bytes. */
  get answerBytes (): number { return this.#answerBytes }

  /** Opens a session; the index of the entry is its id. */
  open (ttlMs: number, { index, timeMs }: SessionContext): void {
    const { minTtlMs, maxTtlMs, maxSessions } = this.#limits
    for (const [id, session] of this.#sessions) if (hasEnded(session, timeMs)) this.#end(id, session)
    if (this.#sessions.size >= maxSessions) this.#endLongestUnused()
    const ttl = Math.min(Math.max(ttlMs, minTtlMs), maxTtlMs)
    this.#sessions.set(index, {
      ttlMs: ttl,
      usedMs: timeMs,
      usedIndex: index,
      lowestOpen: 1,
      answers: new SequenceWindow()
    })
  }

  /** Decides whether a command must be applied; if so, call {@link SessionTable.applied} afterwards. */
  check (id: number, sequence: number, lowestOpen: number, { index, timeMs }: SessionContext): CommandOutcome {
    const session = this.#sessions.get(id)
    if (session === undefined) return unknownSession
    if (hasEnded(session, timeMs) || sequence >= Math.max(session.lowestOpen, lowestOpen) + this.#limits.maxWindow) {
      this.#end(id, session)
      return unknownSession
    }
    session.usedMs = timeMs
    session.usedIndex = index
    if (lowestOpen > session.lowestOpen) this.#forgetBelow(session, Math.min(lowestOpen, sequence))
    return outcomeIn(session, sequence)
  }

  /** Keeps the answer of a command that was checked and applied. */
  applied (id: number, sequence: number, answer: unknown): void {
    const session = this.#sessions.get(id)
    if (session === undefined) return
    const bytes = jsonSize(answer)
    const kept = bytes > this.#limits.maxAnswerBytesEach ? forgotten : { value: answer, bytes }
    session.answers.set(sequence, kept)
    this.#answers++
    this.#answerBytes += kept.bytes
    if (this.#answerBytes > this.#limits.maxAnswerBytes) this.#dropAnswers()
    if (this.#answers > this.#limits.maxAnswers) this.#endLongestUnused()
  }

  /** Whether a command was applied, and how it was answered. Changes nothing. */
  outcomeOf (id: number, sequence: number): CommandOutcome {
    const session = this.#sessions.get(id)
    return session === undefined ? unknownSession : outcomeIn(session, sequence)
  }

  /** Captures the content: commands applied while the records are read do not show in them. */
  capture (): Iterable<Uint8Array> {
    const sessions = [...this.#sessions].map(([id, session]) => ({
      id,
      ...session,
      answers: [...session.answers.entries()]
    }))
    return encodeRecords(sessions)
  }

  /**
   * Reads what {@link SessionTable.capture} gave into a new table. Throws `RAFT_SNAPSHOT_CORRUPT` for anything else.
   */
  static async read (records: AsyncIterable<Uint8Array>, limits: SessionLimits = sessionLimits): Promise<SessionTable> {
    const table = new SessionTable(limits)
    let current: Session | null = null
    for await (const record of records) {
      const fields = parseRecord(record)
      if (fields.length === 5) current = table.#readSession(fields)
      else if (current !== null) table.#readAnswer(current, fields)
      else throw malformed()
    }
    return table
  }

  /** The whole content as JSON; equal on nodes that have applied the same entries. */
  toJSON (): unknown {
    return [...this.#sessions].map(([id, { answers, ...session }]) => ({
      id,
      ...session,
      answers: [...answers.entries()]
    }))
  }

  #readSession (fields: readonly unknown[]): Session {
    const [id = -1, ttlMs = -1, usedMs = -1, usedIndex = -1, lowestOpen = -1] = fields.filter(isCount)
    if (lowestOpen < 0 || this.#sessions.has(id) || this.#sessions.size >= this.#limits.maxSessions) throw malformed()
    const session: Session = { ttlMs, usedMs, usedIndex, lowestOpen, answers: new SequenceWindow() }
    this.#sessions.set(id, session)
    return session
  }

  #readAnswer (session: Session, [sequence, bytes, value]: readonly unknown[]): void {
    if (!isCount(sequence) || !isCount(bytes) || session.answers.get(sequence) !== undefined) throw malformed()
    if (sequence < session.lowestOpen || sequence >= session.lowestOpen + this.#limits.maxWindow) throw malformed()
    session.answers.set(sequence, bytes === 0 ? forgotten : { value, bytes })
    this.#answers++
    this.#answerBytes += bytes
  }

  #forgetBelow (session: Session, lowestOpen: number): void {
    const { answers } = session
    for (
      let kept = answers.get(answers.lowest);
      kept !== undefined && answers.lowest < lowestOpen;
      kept = answers.get(answers.lowest)
    ) {
      answers.delete(answers.lowest)
      this.#answers--
      this.#answerBytes -= kept.bytes
    }
    session.lowestOpen = lowestOpen
  }

  /** Drops answers until half of the allowed bytes are left, those of the session unused for longest first. */
  #dropAnswers (): void {
    const byUse = [...this.#sessions.values()].sort((one, other) => one.usedIndex - other.usedIndex)
    for (const { answers } of byUse) {
      for (const [sequence, { bytes }] of answers.entries()) {
        if (this.#answerBytes <= this.#limits.maxAnswerBytes / 2) return
        this.#answerBytes -= bytes
        answers.set(sequence, forgotten)
      }
    }
  }

  #endLongestUnused (): void {
    let longest: { readonly id: number, readonly session: Session } | null = null
    for (const [id, session] of this.#sessions) {
      if (longest === null || session.usedIndex < longest.session.usedIndex) longest = { id, session }
    }
    if (longest !== null) this.#end(longest.id, longest.session)
  }

  #end (id: number, { answers }: Session): void {
    for (const { bytes } of answers) this.#answerBytes -= bytes
    this.#answers -= answers.size
    this.#sessions.delete(id)
  }
}

function hasEnded (session: Session, timeMs: number): boolean {
  return timeMs - session.usedMs > session.ttlMs
}

function outcomeIn (session: Session, sequence: number): CommandOutcome {
  if (sequence < session.lowestOpen) return answerGone
  const kept = session.answers.get(sequence)
  if (kept === undefined) return notApplied
  return kept === forgotten ? answerGone : { kind: 'applied', answer: kept.value }
}

type CapturedSession = Omit<Session, 'answers'> & {
  readonly id: number
  readonly answers: readonly (readonly [number, KeptAnswer])[]
}

function * encodeRecords (sessions: readonly CapturedSession[]): Generator<Uint8Array, void, undefined> {
  for (const { id, ttlMs, usedMs, usedIndex, lowestOpen, answers } of sessions) {
    yield Buffer.from(JSON.stringify([id, ttlMs, usedMs, usedIndex, lowestOpen]))
    for (const [sequence, { value, bytes }] of answers) {
      yield Buffer.from(JSON.stringify(value === undefined ? [sequence, bytes] : [sequence, bytes, value]))
    }
  }
}

function parseRecord (record: Uint8Array): readonly unknown[] {
  const parsed = parseArray(Buffer.from(record).toString('utf8'))
  if (parsed === null || parsed.length < 2 || parsed.length > 5 || parsed.length === 4) throw malformed()
  return parsed
}

function isCount (value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0
}

function malformed (): Error {
  return new SnapshotCorruptError("The snapshot's client sessions are damaged: a record has an unknown form.")
}

/**
 * Approximate size of a JSON value in bytes: the same for equal values on every node, and cheap, since it does not scan
 * strings. Values without a JSON form count like null.
 */
function jsonSize (value: unknown): number {
  if (typeof value === 'string') return value.length + 2
  if (typeof value !== 'object' || value === null) return 8
  let size = 2
  if (Array.isArray(value)) for (const item of value) size += jsonSize(item)
  else for (const name in value) size += name.length + 3 + jsonSize((value as Record<string, unknown>)[name])
  return size
}
