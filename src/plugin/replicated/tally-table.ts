import type { ApplyContext } from '../../raft/index.ts'
import type { RefusedAnswer } from './answer.ts'
import { refuse } from './answer.ts'
import { limits } from './limits.ts'
import type { SnapshotPart } from './snapshot-records.ts'
import { fieldsOf, malformed, recordOf, textOf } from './snapshot-records.ts'
import type { BucketTakeCommand, TallyCommand, TallyKind, TallyResult } from './tally-command.ts'
import { isLockName, isTallyKind } from './validate.ts'

const part = 'tallies'
/** What fractions of a millisecond may come to: a full bucket gives all that it has, one by one too. */
const roundingMs = 1e-6

/**
 * Numbers that are added to, and buckets that fill up by log time. A bucket is kept as the log time at which it is
 * full, a fraction of a millisecond included; one that is full is as one that was never used.
 */
export class TallyTable implements SnapshotPart {
  #numbers = new Map<string, number>()
  #fullAtMs = new Map<string, number>()
  readonly #changed: (key: string) => void

  constructor (changed: (key: string) => void = () => {}) {
    this.#changed = changed
  }

  /** Applies one command. */
  apply (command: TallyCommand, context: ApplyContext): TallyResult | RefusedAnswer {
    switch (command.kind) {
      case 'tally-add': return this.#set(tallyKey(command.tally, command.name), command.by)
      case 'tally-remove': return this.#remove(tallyKey(command.tally, command.name))
      case 'bucket-take': return this.#take(command, context)
    }
  }

  /** A number as applied on this node; undefined when there is none. */
  get (kind: TallyKind, name: string): number | undefined { return this.#numbers.get(tallyKey(kind, name)) }

  get size (): number { return this.#numbers.size + this.#fullAtMs.size }

  capture (): Iterable<Uint8Array> {
    return encode([...this.#numbers], [...this.#fullAtMs])
  }

  async read (records: AsyncIterable<Uint8Array>): Promise<() => void> {
    const numbers = new Map<string, number>()
    const fullAtMs = new Map<string, number>()
    for await (const record of records) {
      const [kind, name, value, ...more] = fieldsOf(textOf(record, part), part)
      const isRecord = isLockName(name) && typeof value === 'number' && Number.isFinite(value) && more.length === 0
      if (!isRecord) throw malformed(part)
      const into = kind === 'bucket' ? fullAtMs : numbers
      const key = kind === 'bucket' ? name as string : tallyKey(kind as TallyKind, name as string)
      const isValid = kind === 'bucket' ? value >= 0 : isTallyKind(kind) && Number.isSafeInteger(value)
      if (!isValid || into.has(key)) throw malformed(part)
      into.set(key, value)
    }
    if (numbers.size > limits.maxTallies || fullAtMs.size > limits.maxTallies) throw malformed(part)
    return () => {
      const before = this.#numbers
      this.#numbers = numbers
      this.#fullAtMs = fullAtMs
      for (const key of new Set([...before.keys(), ...numbers.keys()])) this.#changed(key)
    }
  }

  /** The whole content, as JSON. */
  toJSON (): unknown { return { numbers: [...this.#numbers], fullAtMs: [...this.#fullAtMs] } }

  #set (key: string, by: number): TallyResult | RefusedAnswer {
    const before = this.#numbers.get(key)
    const value = (before ?? 0) + by
    if (!Number.isSafeInteger(value)) return refuse('RAFT_TOO_LARGE', 'The number would be too large to be exact')
    if (before === undefined && this.#numbers.size >= limits.maxTallies) {
      return refuse('RAFT_BUSY', `there are ${limits.maxTallies} counters, latches and barriers`)
    }
    this.#numbers.set(key, value)
    this.#changed(key)
    return { kind: 'tallied', value, existed: before !== undefined }
  }

  #remove (key: string): TallyResult {
    const value = this.#numbers.get(key)
    this.#numbers.delete(key)
    this.#changed(key)
    return { kind: 'tallied', value: value ?? 0, existed: value !== undefined }
  }

  /** A bucket of another size or speed keeps what it lacks as the time that it needs. */
  #take ({ name, takes, capacity, fillMs }: BucketTakeCommand, { timeMs }: ApplyContext): TallyResult | RefusedAnswer {
    const lacksMs = Math.max(0, (this.#fullAtMs.get(name) ?? 0) - timeMs)
    const wantedMs = lacksMs + takes * fillMs / capacity
    if (wantedMs > fillMs + roundingMs) {
      const remaining = left(lacksMs, capacity, fillMs)
      return { kind: 'bucket', isTaken: false, remaining, retryAfterMs: wantedMs - fillMs }
    }
    // The last one used goes to the end: those in front are full first, or nearly so.
    if (this.#fullAtMs.delete(name) || this.#fullAtMs.size < limits.maxTallies || this.#dropFull(timeMs)) {
      this.#fullAtMs.set(name, timeMs + wantedMs)
      return { kind: 'bucket', isTaken: true, remaining: left(wantedMs, capacity, fillMs), retryAfterMs: 0 }
    }
    return refuse('RAFT_BUSY', `${limits.maxTallies} rate limiters are in use`)
  }

  #dropFull (timeMs: number): boolean {
    for (const [name, fullAtMs] of this.#fullAtMs) if (fullAtMs <= timeMs) this.#fullAtMs.delete(name)
    return this.#fullAtMs.size < limits.maxTallies
  }
}

/** How a number is told to listeners. */
export function tallyKey (kind: TallyKind, name: string): string {
  return `${kind} ${name}`
}

function left (lacksMs: number, capacity: number, fillMs: number): number {
  return Math.max(0, Math.floor((fillMs - lacksMs) * capacity / fillMs + roundingMs))
}

function * encode (
  numbers: ReadonlyArray<readonly [string, number]>,
  fullAtMs: ReadonlyArray<readonly [string, number]>
): Generator<Uint8Array, void, undefined> {
  for (const [key, value] of numbers) {
    const at = key.indexOf(' ')
    yield recordOf(key.slice(0, at), key.slice(at + 1), value)
  }
  for (const [name, value] of fullAtMs) yield recordOf('bucket', name, value)
}
