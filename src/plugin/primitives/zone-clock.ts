/** Offsets of all zones are less than this, in milliseconds. */
const maxOffsetMs = 86_400_000
const dayMs = 86_400_000
const secondMs = 1_000

/** A clock on a wall: the milliseconds since the epoch at which a clock in UTC shows the same date and time. */
type WallTime = number

/** What the clocks of one zone show, and when. */
export class ZoneClock {
  readonly #format: Intl.DateTimeFormat

  /** Throws a RangeError for a zone that the runtime does not know. */
  constructor (timeZone: string) {
    this.#format = new Intl.DateTimeFormat('en-US', { timeZone, timeZoneName: 'longOffset' })
  }

  /** What clocks show at an instant. */
  shownAt (instantMs: number): WallTime {
    return instantMs + this.#offsetAt(instantMs)
  }

  /**
   * The first instant at which clocks show a time, which is a whole second. A time that clocks pass over, on a date
   * that exists, comes at the first instant behind the change; null where clocks pass over its whole date.
   */
  firstInstantOf (wallMs: WallTime): number | null {
    const earlyMs = wallMs - this.#offsetAt(wallMs - maxOffsetMs)
    const lateMs = wallMs - this.#offsetAt(wallMs + maxOffsetMs)
    const [firstMs, lastMs] = earlyMs < lateMs ? [earlyMs, lateMs] : [lateMs, earlyMs]
    if (this.shownAt(firstMs) === wallMs) return firstMs
    if (this.shownAt(lastMs) === wallMs) return lastMs
    // Passed over: by the offset before the change it would be behind it, and by the one behind it before.
    const changeMs = this.#changeBetween(firstMs, lastMs)
    const isOn = (instantMs: number): boolean => dateOf(this.shownAt(instantMs)) === dateOf(wallMs)
    return isOn(changeMs) || isOn(changeMs - secondMs) ? changeMs : null
  }

  /** How far clocks are ahead of UTC, in milliseconds: a date ends with "GMT", "GMT-05:00" or "GMT-00:44:30". */
  #offsetAt (instantMs: number): number {
    const [, sign = '+', hours, minutes, seconds] =
      /GMT(?:([+-])(\d\d):(\d\d)(?::(\d\d))?)?$/.exec(this.#format.format(instantMs)) ?? []
    const offsetMs = (Number(hours ?? 0) * 3_600 + Number(minutes ?? 0) * 60 + Number(seconds ?? 0)) * secondMs
    return sign === '-' ? -offsetMs : offsetMs
  }

  /** The instant at which the offset changes. */
  #changeBetween (beforeMs: number, behindMs: number): number {
    const offsetMs = this.#offsetAt(beforeMs)
    let [before, behind] = [beforeMs / secondMs, behindMs / secondMs]
    while (behind - before > 1) {
      const middle = Math.floor((before + behind) / 2)
      if (this.#offsetAt(middle * secondMs) === offsetMs) before = middle
      else behind = middle
    }
    return behind * secondMs
  }
}

function dateOf (wallMs: WallTime): number {
  return Math.floor(wallMs / dayMs)
}
