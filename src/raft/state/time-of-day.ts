import { SnapshotCorruptError } from '../errors.ts'
import { encodeEnvelope } from './command-envelope.ts'
import { parseArray } from './json-record.ts'

/** The wall clock may run apart from the time of day in the log by this much before a leader sets that anew. */
const toleranceMs = 1_000

/**
 * The time of day as the log has it: log time, and how far the wall clocks of the leaders are from it. Part of the
 * replicated state, so that every node comes to the same time. It follows a leader's clock wherever that goes forward,
 * waits where it goes back, and decides nothing but what state machines are told.
 */
export class TimeOfDay {
  #aheadMs = 0
  #lastMs = 0

  /** A leader's wall clock said this at this log time. */
  set (wallMs: number, timeMs: number): void {
    this.#aheadMs = wallMs - timeMs
  }

  /** The time of day of an entry with this log time; never falls. */
  at (timeMs: number): number {
    this.#lastMs = Math.max(this.#lastMs, timeMs + this.#aheadMs)
    return this.#lastMs
  }

  capture (): Iterable<Uint8Array> {
    return [Buffer.from(JSON.stringify([this.#aheadMs, this.#lastMs]))]
  }

  /** Reads what {@link TimeOfDay.capture} gave. Throws `RAFT_SNAPSHOT_CORRUPT` for anything else. */
  static async read (records: AsyncIterable<Uint8Array>): Promise<TimeOfDay> {
    let read: TimeOfDay | null = null
    for await (const record of records) {
      const [aheadMs, lastMs, ...more] = parseArray(Buffer.from(record).toString('utf8')) ?? []
      if (read !== null || !Number.isSafeInteger(aheadMs) || !Number.isSafeInteger(lastMs) || more.length > 0) {
        throw malformed()
      }
      read = new TimeOfDay()
      read.#aheadMs = aheadMs as number
      read.#lastMs = lastMs as number
    }
    if (read === null) throw malformed()
    return read
  }
}

/** The clocks of a leader, as an entry was proposed. */
interface Noted {
  readonly term: number
  /** How far the wall clock is ahead of the monotonic one. */
  readonly aheadMs: number
}

/** Writes the leader's wall clock to the log: once a term, and again when it was set or stood still. */
export class ClockNotes {
  #noted: Noted | null = null

  /**
   * Appends commands, as `append` does, behind an entry with the leader's wall clock where one is due. `term` is the
   * term of this node, and `now` the moment on its clocks in milliseconds.
   */
  append<Result extends { readonly kind: string }> (
    commands: readonly Uint8Array[],
    term: number,
    now: { readonly monotonicMs: number, readonly wallMs: number },
    append: (commands: readonly Uint8Array[]) => Result
  ): Result {
    const aheadMs = now.wallMs - now.monotonicMs
    const last = this.#noted
    if (last?.term === term && Math.abs(aheadMs - last.aheadMs) <= toleranceMs) return append(commands)
    const clock = encodeEnvelope({ kind: 'clock', wallMs: Math.max(0, Math.floor(now.wallMs)) })
    const result = append([clock, ...commands])
    if (result.kind === 'appended') this.#noted = { term, aheadMs }
    return result
  }
}

function malformed (): Error {
  return new SnapshotCorruptError("The snapshot's time of day is damaged: a record has an unknown form.")
}
