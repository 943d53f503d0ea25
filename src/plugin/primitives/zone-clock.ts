import { limits } from '../replicated/limits.ts'

const dayMs = 86_400_000
/** Offsets of all zones are less than this, in milliseconds. */
const maxOffsetMs = dayMs
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

  /** When clocks are set, behind one instant and not behind another; null for never. Takes two days, and one change. */
  changeBetween (fromMs: number, toMs: number): number | null {
    return this.#offsetAt(fromMs) === this.#offsetAt(toMs) ? null : this.#changeBetween(fromMs, toMs)
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

  /** The instant at which the offset changes: a whole second. */
  #changeBetween (beforeMs: number, behindMs: number): number {
    const offsetMs = this.#offsetAt(beforeMs)
    let [before, behind] = [Math.floor(beforeMs / secondMs), Math.ceil(behindMs / secondMs)]
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

/** A format takes tens of kilobytes and half a millisecond, and most applications are in few zones. */
const clocks = new Map<string, ZoneClock>()

/** The clock of a zone by its IANA name, of which there is one in this process; null for a name that is none. */
export function zoneClockOf (name: string): ZoneClock | null {
  // Offsets such as "+01:00" are taken by newer runtimes only, and are no names.
  if (name.length > limits.maxTimeZoneLength || !/^[A-Za-z]/.test(name)) return null
  const known = clocks.get(name)
  if (known !== undefined) return known
  const canonicalName = canonicalNameOf(name)
  if (canonicalName === null) return null
  const clock = clocks.get(canonicalName) ?? new ZoneClock(canonicalName)
  clocks.set(canonicalName, clock)
  return clock
}

/** Names are taken in any case, and some zones have several. */
function canonicalNameOf (name: string): string | null {
  try {
    return new Intl.DateTimeFormat('en', { timeZone: name }).resolvedOptions().timeZone
  } catch {
    return null
  }
}
