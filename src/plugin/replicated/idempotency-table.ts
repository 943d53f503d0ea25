import { createHash } from 'node:crypto'
import type { ApplyContext } from '../../raft/index.ts'
import type { AppliedAnswer, FencedAnswer, MapAnswer, RefusedAnswer, SessionGoneAnswer } from './answer.ts'
import { refuse } from './answer.ts'
import type {
  MachineCommand,
  MapCommand,
  OnceCondition,
  RequestBeginCommand,
  RequestFinishCommand
} from './command.ts'
import type { KeyedRequestAnswer, RequestState } from './keyed-request.ts'
import { isRequestState, requestStateBytes } from './keyed-request.ts'
import { limits } from './limits.ts'
import { RecordQueue } from './record-queue.ts'
import type { SnapshotPart } from './snapshot-records.ts'
import { fieldsOf, malformed, recordOf, textOf } from './snapshot-records.ts'
import { isHorizon, isIndex, isLogNumber } from './validate.ts'

/** Answer that is given again to a command with the same key. */
type KeptAnswer = Exclude<MapAnswer | AppliedAnswer, WithoutEffect>
/** Answers to commands that changed nothing, and may be tried again with their keys. */
type WithoutEffect = RefusedAnswer | FencedAnswer | SessionGoneAnswer
type OnceCommand = MapCommand | MachineCommand

/** Record of a command that carried an idempotency key. Never changed: that of a request is followed by a later one. */
interface Remembered {
  /** The key within its scope; see {@link idOf}. */
  readonly id: string
  /** Log time at which the command was applied, and for how long from then on it is remembered at least. */
  readonly timeMs: number
  readonly horizonMs: number
  readonly fingerprint: string
  /** Null for an answer that was too large to be kept. */
  readonly answer: KeptAnswer | RequestState | null
}

/** What is remembered of a request. */
interface RememberedRequest {
  readonly fingerprint: string
  readonly state: RequestState
}

/**
 * Applies commands that carry an idempotency key at most once, across clients and nodes: later commands with the key
 * get the first answer, and a different command under the same key is refused. Keys count within their scope: the map
 * or machine, and whether a request over HTTP or the application's code brought them.
 *
 * A key is remembered for the horizon that its command brought, in log time, and is never forgotten before: a command
 * with a new key for which there is no room is refused and may be tried again later. Horizon and room come with the
 * command, because the options of the nodes may differ and every node has to forget and refuse alike.
 *
 * Requests of clients are remembered from their begin on, since their handlers take time and run outside of the log:
 * `begin` and `finish` are entries of their own. The index of the begin names the attempt, and is its fence: what an
 * attempt ends with counts only while the key was not decided otherwise meanwhile.
 *
 * The fencing token is not part of what a command asks for: a new leader that repeats the work of the last one under
 * the same key gets the first answer. Commands that were refused or fenced, or whose session was over, changed nothing
 * and are not remembered, so that the key may be tried again.
 */
export class IdempotencyTable implements SnapshotPart {
  #byId = new Map<string, Remembered>()
  /** In log order. The oldest goes first, so that a longer horizon keeps shorter ones behind it for longer as well. */
  #queue = new RecordQueue<Remembered>()
  #bytes = 0

  /** Runs the command unless its key has been seen; then answers as the first time. */
  applyOnce<A extends KeptAnswer | WithoutEffect>(
    command: OnceCommand,
    { timeMs }: Pick<ApplyContext, 'timeMs'>,
    execute: () => A
  ): A | RefusedAnswer {
    const { once } = command
    if (once === undefined) return execute()
    this.#forget(timeMs)
    const id = idOf(once, command)
    const fingerprint = fingerprintOf(command)
    const first = this.#byId.get(id)
    if (first !== undefined) return answerAgain<A>(first, fingerprint)
    if (!this.#hasRoom(id.length + answerBytesOf(command), once, timeMs)) return noRoom(once)
    const answer = execute()
    if (isKept(answer)) {
      const { horizonMs } = once
      this.#add({ id, timeMs, horizonMs, fingerprint, answer: isTooLarge(answer) ? null : answer })
    }
    return answer
  }

  /**
   * Begins a request, unless its key has been seen: then answers what became of it. When the attempt that is under way
   * is the one that the command calls lost, decides about it: another attempt, or none ever.
   */
  begin (
    { once, fingerprint, answerBytes, fence, lost, mayRepeat }: RequestBeginCommand,
    { timeMs, index }: Pick<ApplyContext, 'timeMs' | 'index'>
  ): KeyedRequestAnswer | RefusedAnswer {
    this.#forget(timeMs)
    const id = requestIdOf(once)
    const { horizonMs } = once
    const state = this.#requestState(id)
    if (state !== null && state.kind !== 'request-released') {
      if (this.#byId.get(id)?.fingerprint !== fingerprint) return requestConflict
      if (state.kind !== 'request-begun' || state.attempt !== lost) return state
      if (!mayRepeat) {
        const answer = { kind: 'request-lost' } as const
        this.#add({ id, timeMs, horizonMs, fingerprint, answer })
        return answer
      }
    }
    // Room for the record of its end as well: what has run is remembered, however full the room is by then.
    const reserved = recordBytes + id.length + answerBytes
    if (!this.#hasRoom(id.length + reserved, once, timeMs)) return noRoom(once)
    const begun = { kind: 'request-begun', attempt: index, token: fence, answerBytes: reserved } as const
    this.#add({ id, timeMs, horizonMs, fingerprint, answer: begun })
    return { kind: 'request-started', attempt: index }
  }

  /** Ends an attempt, if it is the one under way. */
  finish (
    { once, attempt, outcome }: RequestFinishCommand,
    { timeMs }: Pick<ApplyContext, 'timeMs'>
  ): KeyedRequestAnswer {
    const id = requestIdOf(once)
    const begun = this.#byId.get(id)
    const state = this.#requestState(id)
    if (begun === undefined || state?.kind !== 'request-begun' || state.attempt !== attempt) {
      return { kind: 'request-stale' }
    }
    const { fingerprint } = begun
    this.#add({ id, timeMs, horizonMs: once.horizonMs, fingerprint, answer: outcome })
    return { kind: 'request-finished' }
  }

  /** What this node knows of a request, by its key; null when that is nothing. */
  request (key: Pick<OnceCondition, 'key' | 'origin'>): RememberedRequest | null {
    const id = requestIdOf(key)
    const state = this.#requestState(id)
    return state === null ? null : { fingerprint: this.#byId.get(id)?.fingerprint ?? '', state }
  }

  /** How many keys are remembered. */
  get size (): number { return this.#byId.size }
  /** What counts towards the room, in bytes. */
  get bytes (): number { return this.#bytes }

  capture (): Iterable<Uint8Array> {
    return encodeRecords(this.#queue.capture())
  }

  async read (records: AsyncIterable<Uint8Array>): Promise<() => void> {
    const table = new IdempotencyTable()
    let lastMs = 0
    for await (const record of records) {
      const remembered = readRecord(textOf(record, part))
      const { timeMs, id, answer } = remembered
      const isAgain = table.#byId.has(id) && !(isRequestState(answer) && table.#requestState(id) !== null)
      if (timeMs < lastMs || isAgain) throw malformed(part)
      lastMs = timeMs
      table.#add(remembered)
    }
    return () => {
      this.#byId = table.#byId
      this.#queue = table.#queue
      this.#bytes = table.#bytes
    }
  }

  /** The whole content in log order, as JSON. */
  toJSON (): unknown {
    return [...this.#queue.capture()]
  }

  /** Adds a record, in the place of an earlier one with the id. */
  #add (remembered: Remembered): void {
    const earlier = this.#byId.get(remembered.id)
    if (earlier !== undefined) this.#bytes -= contentBytes(earlier)
    this.#byId.set(remembered.id, remembered)
    this.#queue.add(remembered)
    this.#bytes += recordBytes + remembered.id.length + contentBytes(remembered)
  }

  #requestState (id: string): RequestState | null {
    const answer = this.#byId.get(id)?.answer
    return isRequestAnswer(answer) ? answer : null
  }

  /** Forgets some of what is past its horizon: more than a command adds, and no long list within one command. */
  #forget (timeMs: number): void {
    for (let count = 0; count < maxForgottenAtOnce && this.#dropExpired(timeMs); count++);
  }

  #hasRoom (textBytes: number, { maxBytes }: OnceCondition, timeMs: number): boolean {
    while (this.#bytes + recordBytes + textBytes > maxBytes) if (!this.#dropExpired(timeMs)) return false
    return true
  }

  /** Drops the oldest record if it is past its horizon, and returns whether it was. */
  #dropExpired (timeMs: number): boolean {
    const { oldest } = this.#queue
    if (oldest === undefined || oldest.timeMs + oldest.horizonMs > timeMs) return false
    this.#queue.dropOldest()
    this.#bytes -= recordBytes + oldest.id.length
    // A later record of a request may have taken its place.
    if (this.#byId.get(oldest.id) === oldest) {
      this.#byId.delete(oldest.id)
      this.#bytes -= contentBytes(oldest)
    }
    return true
  }
}

const part = 'idempotency keys'
const maxForgottenAtOnce = 16
/** What a record takes beside its texts, as measured with Node.js 20. */
const recordBytes = 384
/** A revision with all that is around it. */
const revisionBytes = 16
const answerKinds = new Set<string>([
  'written', 'mismatch', 'deleted', 'transacted', 'machine-answer'
] satisfies KeptAnswer['kind'][])

function noRoom ({ maxBytes }: OnceCondition): RefusedAnswer {
  return refuse(
    'RAFT_BUSY',
    `the remembered idempotency keys fill ${maxBytes} bytes, and the oldest is too young to be forgotten: ` +
      'try again later, or raise idempotency.maxBytes. A shorter idempotency.horizonMs holds for new keys only'
  )
}

/** Requests have a scope of their own: no command reaches their keys. */
function requestIdOf ({ key, origin }: Pick<OnceCondition, 'key' | 'origin'>): string {
  return `${origin}:request:${key}`
}

function isRequestAnswer (answer: Remembered['answer'] | undefined): answer is RequestState {
  return answer?.kind.startsWith('request-') === true
}

/** The refusal of a request whose key belongs to another one. */
export const requestConflict = refuse(
  'RAFT_IDEMPOTENCY_CONFLICT',
  'The idempotency key was used before for a different request, or by another client'
)

/** The key together with its scope. The length of the name keeps the parts apart. */
function idOf ({ key, origin }: OnceCondition, command: OnceCommand): string {
  const [kind, name] = scopeOf(command)
  return `${origin}:${kind}:${name.length}:${name}:${key}`
}

/** Transactions have one scope: they are of several maps. */
function scopeOf (command: OnceCommand): readonly [kind: string, name: string] {
  switch (command.kind) {
    case 'machine': return ['machine', command.machine]
    case 'map-transact': return ['transaction', '']
    case 'map-set':
    case 'map-delete': return ['map', command.map]
  }
}

/** Room that the answer to a command may take beside its record, in bytes. */
function answerBytesOf (command: OnceCommand): number {
  switch (command.kind) {
    case 'machine': return limits.maxRememberedAnswerLength
    case 'map-transact': return command.compare.length * revisionBytes
    case 'map-set':
    case 'map-delete': return command.key.length
  }
}

/** A hash and not the command: a million values of a mebibyte each must not stay in memory. */
function fingerprintOf (command: OnceCommand): string {
  return createHash('sha256').update(JSON.stringify(askedBy(command))).digest('base64').slice(0, fingerprintLength)
}

function askedBy (command: OnceCommand): readonly unknown[] {
  switch (command.kind) {
    case 'machine': return [command.kind, command.machine, command.command]
    case 'map-transact': return [command.kind, command.compare, command.then, command.else]
    case 'map-delete': return [command.kind, command.map, command.key, command.ifRevision ?? null, null]
    case 'map-set': {
      const { kind, map, key, ifRevision = null, value, ttlMs = null, session = null } = command
      // As it was before keys could end by themselves: what is remembered of such commands stays comparable.
      const end = ttlMs === null && session === null ? [] : [ttlMs, session]
      return [kind, map, key, ifRevision, value, ...end]
    }
  }
}

function isKept (answer: KeptAnswer | WithoutEffect): answer is KeptAnswer {
  return answer.kind !== 'refused' && answer.kind !== 'fenced' && answer.kind !== 'session-gone'
}

/** 132 bits. */
const fingerprintLength = 22

function answerAgain<A> (first: Remembered, fingerprint: string): A | RefusedAnswer {
  if (first.fingerprint !== fingerprint) {
    return refuse('RAFT_IDEMPOTENCY_CONFLICT', 'The idempotency key was used before for a different command')
  }
  // The fingerprint covers the kind: the answer is one to such a command.
  return (
    (first.answer as A | null) ??
    refuse(
      'RAFT_TOO_LARGE',
      'The command with this idempotency key was applied before; its answer was too large to be kept'
    )
  )
}

/** Approximate size in memory beside the record and its id: the same on every node, and cheap. */
function contentBytes ({ answer }: Remembered): number {
  if (answer === null) return 0
  if (isRequestAnswer(answer)) return requestStateBytes(answer)
  if (answer.kind === 'machine-answer') return answer.answerJson?.length ?? 0
  return answer.kind === 'transacted' ? answer.revisions.length * revisionBytes : answer.key.length
}

function * encodeRecords (records: Iterable<Remembered>): Generator<Uint8Array, void, undefined> {
  for (const { id, timeMs, horizonMs, fingerprint, answer } of records) {
    yield recordOf(id, timeMs, horizonMs, fingerprint, answer)
  }
}

function readRecord (text: string): Remembered {
  const [id, timeMs, horizonMs, fingerprint, answer, ...more] = fieldsOf(text, part)
  const isRecord =
    typeof id === 'string' &&
    isLogNumber(timeMs) &&
    isHorizon(horizonMs) &&
    typeof fingerprint === 'string' &&
    isAnswer(answer) &&
    more.length === 0
  if (!isRecord) throw malformed(part)
  return { id, timeMs: timeMs as number, horizonMs: horizonMs as number, fingerprint, answer }
}

function isTooLarge (answer: KeptAnswer): boolean {
  return answer.kind === 'machine-answer' && (answer.answerJson?.length ?? 0) > limits.maxRememberedAnswerLength
}

/** What such a command answers, and nothing that is only called so. */
function isAnswer (value: unknown): value is Remembered['answer'] {
  if (value === null || isRequestState(value)) return true
  if (typeof value !== 'object' || !Object.hasOwn(value, 'kind')) return false
  const { kind, key, revisions } = value as Readonly<Record<'kind' | 'key' | 'revisions', unknown>>
  if (!answerKinds.has(String(kind))) return false
  if (kind === 'transacted') return Array.isArray(revisions) && revisions.every(isIndex)
  return kind === 'machine-answer' || typeof key === 'string'
}
