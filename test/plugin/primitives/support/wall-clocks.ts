/** What clocks show at an instant: `date` counts days, `second` those of the day. */
interface Shown {
  readonly instantMs: number
  readonly date: number
  readonly second: number
}

const formats = new Map<string, Intl.DateTimeFormat>()

/** What Intl says that clocks of a zone show, in milliseconds as if it were UTC. */
export function shownByIntl (zone: string, instantMs: number): number {
  const format = formats.get(zone) ?? new Intl.DateTimeFormat('en', {
    timeZone: zone,
    calendar: 'iso8601',
    hourCycle: 'h23',
    year: 'numeric',
    month: 'numeric',
    day: 'numeric',
    hour: 'numeric',
    minute: 'numeric',
    second: 'numeric'
  })
  formats.set(zone, format)
  const parts = new Map(format.formatToParts(instantMs).map(({ type, value }) => [type, Number(value)]))
  const part = (name: Intl.DateTimeFormatPartTypes): number => parts.get(name) ?? NaN
  return Date.UTC(part('year'), part('month') - 1, part('day'), part('hour'), part('minute'), part('second'))
}

/** A change of the offset of a zone. */
interface ClockChange {
  readonly atMs: number
  /** Offset before it, such as `-05:00`. */
  readonly from: string
  readonly to: string
}

/** The changes in (from, to], looked for at each second. */
export function changesBetween (zone: string, fromMs: number, toMs: number): readonly ClockChange[] {
  const found: ClockChange[] = []
  for (let atMs = fromMs + 1_000; atMs <= toMs; atMs += 1_000) {
    const [from, to] = [offsetText(zone, atMs - 1_000), offsetText(zone, atMs)]
    if (from !== to) found.push({ atMs, from, to })
  }
  return found
}

function offsetText (zone: string, instantMs: number): string {
  const minutes = (shownByIntl(zone, instantMs) - instantMs) / 60_000
  const [hour, minute] = [Math.floor(Math.abs(minutes) / 60), Math.abs(minutes) % 60]
  return `${minutes < 0 ? '-' : '+'}${String(hour).padStart(2, '0')}:${String(minute).padStart(2, '0')}`
}

/** What clocks show at each minute of a stretch of time. */
export function minutesOf (zone: string, fromMs: number, toMs: number): readonly Shown[] {
  const found: Shown[] = []
  for (let instantMs = fromMs; instantMs < toMs; instantMs += 60_000) {
    const shown = shownByIntl(zone, instantMs)
    found.push({ instantMs, date: Math.floor(shown / 86_400_000), second: (shown % 86_400_000) / 1_000 })
  }
  return found
}

/**
 * The slots of times of day by the rule itself, looked for minute by minute: each time once on each date that is shown,
 * the first time that it is shown, or where it is left out at the first minute that shows more.
 */
export function timesOfDayIn (minutes: readonly Shown[], seconds: readonly number[]): readonly number[] {
  const dates = [...new Set(minutes.map(({ date }) => date))]
  const found = dates.flatMap((date) => seconds.map((second) =>
    minutes.find((shown) => shown.date === date && shown.second === second) ??
      minutes.find((shown) => shown.date > date || (shown.date === date && shown.second > second))))
  const instants = found.flatMap((shown) => shown === undefined ? [] : [shown.instantMs])
  return [...new Set(instants)].sort((one, other) => one - other)
}

/** The instants at which the second of the day that is shown is one of these. */
export function minutesThat (minutes: readonly Shown[], isOne: (second: number) => boolean): readonly number[] {
  return minutes.filter(({ second }) => isOne(second)).map(({ instantMs }) => instantMs)
}
