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
 * - `probe`: the leader does not know where the logs agree. It sends one append at a time, the next after an answer to
 *   it or to a heartbeat.
 * - `replicate`: the logs agree up to `matchIndex`; appends are sent ahead of the answers, within limits.
 * - `snapshot`: the peer needs entries that the leader has compacted. It is being sent a snapshot, and no appends until
 *   it has that; heartbeats go on.
 */
export class Progress {
  /**
   * Highest index through which the peer's log is known to agree with the leader's, durably on the peer's disk. It only
   * rises, and it is what counts towards a commit (paper figure 2).
   */
  matchIndex: Index = asIndex(0)
  /**
   * First index of the next append. The peer holds all entries before it, is being sent them, or is assumed to hold
   * them. Always above `matchIndex`. While probing it moves down with each refusal until the logs agree; while
   * replicating it runs ahead of the answers.
   */
  nextIndex: Index
  /** How appends are sent to the peer; see the class. */
  state: 'probe' | 'replicate' | 'snapshot' = 'probe'
  /** Last heartbeat round of this term that the peer has answered. */
  ackedRound = 0
  /** Whether the peer was heard from since the last quorum check (dissertation section 6.2). */
  recentlyActive = false
  /** The one append of a probe was sent, and no answer to it or to a heartbeat has come since. */
  #probeInFlight = false
  /** Index that the peer must reach for appends to go on: the leader's base when the state became `snapshot`. */
  #neededIndex = 0
  /** Appends sent ahead of their answers while replicating, oldest first: the window. */
  #inFlight: InFlight[] = []
  #inFlightBytes = 0

  /** Starts as a probe from this index: a new leader assumes that all peers hold its whole log. */
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

  /** The peer needs entries that the leader has compacted; `baseIndex` is the last of those. */
  needSnapshot (baseIndex: Index): void {
    this.#enter('snapshot', this.nextIndex)
    this.#neededIndex = baseIndex
  }

  /**
   * The snapshot through `index` has arrived, or the transfer failed (0). Probes whether the peer accepts entries from
   * there on.
   */
  snapshotEnded (index: Index): void {
    if (this.state === 'snapshot') this.#enter('probe', asIndex(Math.max(this.matchIndex, index) + 1))
  }

  /**
   * The peer refused an append whose previous index was `prevIndex`; `agreedIndex` is the last index up to which the
   * logs may agree. Returns false for a stale refusal, which must change nothing.
   */
  rejected (prevIndex: Index, agreedIndex: Index): boolean {
    // Either an old answer, or a peer that lost entries it had confirmed: no append can repair that.
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

  /** Messages to the peer were lost, appends sent ahead possibly among them: probes again. */
  unreachable (): void {
    // A probe keeps its next index: back at the start of the log it would send a peer entries that it may hold.
    if (this.state === 'probe') this.#probeInFlight = false
    else if (this.state === 'replicate') this.#enter('probe', asIndex(this.matchIndex + 1))
  }

  /** A heartbeat was answered, so the path is open: a lost probe or a full window must not block it for ever. */
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
