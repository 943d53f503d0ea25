/** Readings that are kept at most: a node that knows no members yet hears anybody. */
const maxKept = 256

/** How much faster one clock may run than another one. Quartz stays below a tenth of that. */
const maxDrift = 0.001

interface Reading {
  readonly term: number
  readonly clockMs: number
  readonly receivedAtMs: number
}

/**
 * What the monotonic clocks of other nodes showed when they sent a message. A message takes time, so that the clock of
 * its sender shows at least that now, and what has passed since: a bound from below, which holds without any clock
 * being set right. Monotonic clocks begin with the process, and one process alone is the leader of a term: a reading
 * counts for a term.
 */
export class ClockReadings {
  readonly #readings = new Map<string, Reading>()
  readonly #nowMs: () => number

  constructor (nowMs: () => number = () => performance.now()) {
    this.#nowMs = nowMs
  }

  /** A message of this node has just come in, which the node sent in this term, at this time of its own. */
  note (node: string, term: number, clockMs: number): void {
    if (this.#readings.size >= maxKept && !this.#readings.has(node)) this.#readings.clear()
    this.#readings.set(node, { term, clockMs, receivedAtMs: this.#nowMs() })
  }

  /**
   * What the clock of a node, which leads this term, shows by now at least, in whole milliseconds; null when that is
   * not known.
   */
  atLeastMs (node: string, term: number): number | null {
    const reading = this.#readings.get(node)
    if (reading?.term !== term) return null
    const elapsedMs = (this.#nowMs() - reading.receivedAtMs) * (1 - maxDrift)
    return Math.floor(reading.clockMs + elapsedMs)
  }
}
