import type { Index } from './types.ts'
import { asIndex } from './types.ts'

interface InFlight {
  readonly lastIndex: Index
  readonly bytes: number
}

/** How much may be on its way to one peer before it has answered. */
interface InFlightLimits {
  readonly maxAppends: number
  readonly maxBytes: number
}

/**
 * What a leader knows of one peer's log (paper figure 2, nextIndex and matchIndex).
 *
 * - `probe`: where the logs agree is not known; one append at a time, the next after an answer or a heartbeat's.
 * - `replicate`: they agree up to `matchIndex`; appends are sent ahead of the answers, within limits.
 * - `snapshot`: the peer needs what the leader has forgotten. It is being sent a snapshot, and no appends until it has
 *   that; heartbeats go on.
 */
export class Progress {
  /**
   * Highest index through which the peer's log is known to agree with the leader's, durably on the peer's disk. It only
   * rises, and it is what counts towards a commit (paper figure 2).
   */
  matchIndex: Index = asIndex(0)
  /**
   * First index of the next append: all before it the peer holds, is being sent, or is guessed to hold. Always above
   * `matchIndex`. While probing it moves down with each refusal until the logs agree; while replicating it runs ahead
   * of the answers.
   */
  nextIndex: Index
  /** How appends are sent to the peer; see the class. */
  state: 'probe' | 'replicate' | 'snapshot' = 'probe'
  /** Last heartbeat round of this term that the peer has answered. */
  ackedRound = 0
  /** Whether the peer was heard from since the last quorum check (dissertation section 6.2). */
  recentlyActive = false
  /** The one append of a probe was sent, and neither an answer nor a heartbeat's answer has come since. */
  #probeInFlight = false
  /** Index that the peer must reach for appends to go on: the leader's base when the state became `snapshot`. */
  #neededIndex = 0
  /** Appends sent ahead of their answers while replicating, oldest first: the window. */
  #inFlight: InFlight[] = []
  #inFlightBytes = 0

  /** Starts as a probe from this index: a new leader guesses that all peers hold what it holds. */
  constructor (nextIndex: Index) {
    this.nextIndex = nextIndex
  }

  /** Whether another append may be sent now. */
  canSend (limits: InFlightLimits): boolean {
    if (this.state === 'probe') return !this.#probeInFlight
    if (this.state === 'snapshot') return false
    return this.#inFlight.length < limits.maxAppends && this.#inFlightBytes < limits.maxBytes
  }

  /** An append with entries through `lastIndex` was sent. */
  sent (lastIndex: Index, bytes: number): void {
    if (this.state === 'probe') {
      this.#probeInFlight = true
      return
    }
    this.nextIndex = asIndex(lastIndex + 1)
    this.#inFlight.push({ lastIndex, bytes })
    this.#inFlightBytes += bytes
  }

  /**
   * The peer accepted an append whose previous index was `prevIndex`, and holds everything through `index`. Returns
   * whether `matchIndex` rose.
   */
  acked (prevIndex: Index, index: Index): boolean {
    const isNews = index > this.matchIndex
    const answersProbe = prevIndex === this.nextIndex - 1
    if (isNews) this.matchIndex = index
    if (this.nextIndex <= index) this.nextIndex = asIndex(index + 1)
    if (this.state === 'replicate') this.#release(index)
    // A late answer to a pipelined append must not end the probe: each one would reopen the window, and on a path that
    // loses or reorders messages the answers to that window are late again, without end.
    else if (this.state === 'probe') {
      if (isNews || answersProbe) this.#enter('replicate', asIndex(this.matchIndex + 1))
    // Before the snapshot has arrived, an answer to an earlier append changes nothing.
    } else if (this.matchIndex >= this.#neededIndex) this.#enter('replicate', asIndex(this.matchIndex + 1))
    return isNews
  }

  /** The peer needs what the leader has forgotten through `baseIndex`. */
  needSnapshot (baseIndex: Index): void {
    this.#enter('snapshot', this.nextIndex)
    this.#neededIndex = baseIndex
  }

  /**
   * The snapshot through `index` has arrived, or none has (0): whether the peer takes entries from there on is tried.
   */
  snapshotEnded (index: Index): void {
    if (this.state === 'snapshot') this.#enter('probe', asIndex(Math.max(this.matchIndex, index) + 1))
  }

  /**
   * The peer refused an append whose previous index was `prevIndex`; `agreedIndex` is the last place where the logs
   * may agree. Returns false for a stale refusal that must change nothing.
   */
  rejected (prevIndex: Index, agreedIndex: Index): boolean {
    // Either an old answer, or a peer that lost what it had confirmed: nothing sent now would help it.
    if (prevIndex <= this.matchIndex && this.matchIndex > 0) return false
    if (this.state === 'snapshot') return false
    if (this.state === 'replicate') {
      this.#enter('probe', asIndex(this.matchIndex + 1))
      return true
    }
    if (this.nextIndex - 1 !== prevIndex) return false
    this.nextIndex = asIndex(Math.max(this.matchIndex, Math.min(prevIndex - 1, agreedIndex)) + 1)
    this.#probeInFlight = false
    return true
  }

  /** Messages to the peer were lost: what was sent ahead cannot be relied on. */
  unreachable (): void {
    // A probe keeps its place: going back to the start of the log would send all of it to a peer that may hold it.
    if (this.state === 'probe') this.#probeInFlight = false
    else if (this.state === 'replicate') this.#enter('probe', asIndex(this.matchIndex + 1))
  }

  /** A heartbeat came back, so the path is open: a lost probe or a full window must not block it for ever. */
  pathOpen (limits: InFlightLimits): void {
    if (this.state === 'probe') {
      this.#probeInFlight = false
      return
    }
    const oldest = this.#inFlight[0]
    if (oldest !== undefined && !this.canSend(limits)) this.#release(oldest.lastIndex)
  }

  #enter (state: 'probe' | 'replicate' | 'snapshot', nextIndex: Index): void {
    this.state = state
    this.nextIndex = nextIndex
    this.#probeInFlight = false
    this.#inFlight = []
    this.#inFlightBytes = 0
  }

  #release (through: Index): void {
    while (this.#inFlight[0] !== undefined && this.#inFlight[0].lastIndex <= through) {
      this.#inFlightBytes -= this.#inFlight.shift()?.bytes ?? 0
    }
  }
}
