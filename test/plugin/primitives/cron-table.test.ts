import { describe, expect, it } from 'vitest'
import { cronSlots } from '../../../src/plugin/primitives/cron.ts'
import { SimRandom } from '../../sim/random.ts'
import type { CronRow } from './support/cron-table.ts'
import { cronRows, cronZones, instantText, knowsChange, slotsBetween } from './support/cron-table.ts'
import { minutesOf, minutesThat, timesOfDayIn } from './support/wall-clocks.ts'

const taken = cronRows.filter(({ slots }) => slots !== undefined)
const refused = cronRows.flatMap(({ refused, ...row }) => refused === undefined ? [] : [{ ...row, ...refused }])
const hourMs = 3_600_000
const dayMs = 24 * hourMs

/** The instants of a row, or a skipped test where this runtime has other zones. */
function slotsOf (row: CronRow, skip: (note: string) => void): readonly number[] {
  if (!knowsChange(row)) skip(`this runtime does not know the clock change of ${row.zone}: it has other zones than ${cronZones}`)
  return slotsBetween(row.expression, row.zone, Date.parse(row.from), Date.parse(row.to))
}

describe('the table of expressions', () => {
  it('has rows for each kind of clock change, each taken or refused', () => {
    const zones = ['America/New_York', 'Africa/Cairo', 'America/Santiago', 'America/Sao_Paulo', 'Pacific/Apia',
      'Australia/Lord_Howe', 'America/Nuuk']
    expect(cronRows.map(({ zone }) => zone)).toEqual(expect.arrayContaining(zones))
    expect(taken.length + refused.length).toBe(cronRows.length)
    expect(new Set(cronRows.map(({ id }) => id)).size).toBe(cronRows.length)
    expect(cronRows.filter(({ zone, change }) => (zone === 'UTC') !== (change === undefined))).toEqual([])
  })

  it.for(taken)('$id: $expression, $about', (row, { skip }) => {
    expect(slotsOf(row, skip).map(instantText)).toEqual(row.slots)
  })

  it.each(refused)('$id: $expression is refused', ({ expression, zone, code, advice }) => {
    expect(() => cronSlots(expression, zone)).toThrow(expect.objectContaining({
      code,
      message: expect.stringContaining(advice) as string
    }) as Error)
  })

  it.each(cronRows)('$id says why where it is not what croner does, and only there', ({ slots, libraries, why }) => {
    expect(why !== undefined).toBe(JSON.stringify(slots ?? 'refused') !== JSON.stringify(libraries['croner']))
  })

  it.for(taken)('$id has the same slots wherever one starts, and they rise', (row, { skip }) => {
    const found = slotsOf(row, skip)
    const slots = cronSlots(row.expression, row.zone)
    const [fromMs, toMs] = [Date.parse(row.from), Date.parse(row.to)]
    expect(found.filter((slotMs, at) => slotMs <= (found[at - 1] ?? -Infinity))).toEqual([])
    const evenly = Array.from({ length: 40 }, (_, at) => Math.floor(fromMs + (toMs - fromMs) * at / 40))
    const starts = [...evenly, ...found.flatMap((slotMs) => [slotMs - 1, slotMs, slotMs + 1, slotMs + hourMs])]
    for (const startMs of starts) {
      const next = slots.after(startMs)
      const expected = found.find((slotMs) => slotMs > startMs)
      if (expected === undefined) expect(next === null || next >= toMs).toBe(true)
      else expect(`${instantText(startMs)} ${instantText(next ?? 0)}`).toBe(`${instantText(startMs)} ${instantText(expected)}`)
    }
  })
})

describe('the rule for clock changes', () => {
  const changes = cronRows.flatMap(({ zone, change }) => change === undefined ? [] : [{ zone, at: change.at }])
  const distinct = [...new Map(changes.map((one) => [`${one.zone} ${one.at}`, one])).values()]

  it.each(distinct)('holds in $zone around $at, whatever the expression is', ({ zone, at }) => {
    const random = new SimRandom(7, zone, Date.parse(at) / 1_000)
    const [fromMs, toMs] = [Date.parse(at) - 2 * dayMs, Date.parse(at) + 2 * dayMs]
    const minutes = minutesOf(zone, fromMs, toMs)
    const draw = (count: number, end: number): readonly number[] =>
      Array.from({ length: random.between(1, count) }, () => random.between(0, end))
    const isInside = (slotMs: number): boolean => slotMs >= fromMs + dayMs && slotMs < toMs - dayMs
    for (let round = 0; round < 12; round++) {
      const ofHour = draw(3, 59)
      const hours = [...draw(3, random.chance(0.7) ? 3 : 23), ...(random.chance(0.3) ? [23] : [])]
      const days = random.chance(0.5) ? '*' : `${new Date(at).getUTCDay()}`
      const seconds = hours.flatMap((hour) => ofHour.map((minute) => hour * 3_600 + minute * 60))
      const ofDay = minutes.filter(({ date }) => days === '*' || (date + 4) % 7 === Number(days))
      const step = random.between(2, 40)
      const cases: ReadonlyArray<readonly [expression: string, slots: readonly number[]]> = [
        [`${ofHour.join(',')} ${hours.join(',')} * * *`, timesOfDayIn(minutes, seconds)],
        [`${ofHour.join(',')} * * * ${days}`, minutesThat(ofDay, (second) => ofHour.includes(second / 60 % 60))],
        [`*/${step} ${hours.join(',')} * * ${days}`, minutesThat(ofDay, (second) =>
          second / 60 % 60 % step === 0 && hours.includes(Math.floor(second / 3_600)))]
      ]
      for (const [expression, expected] of cases) {
        const found = slotsBetween(expression, zone, fromMs, toMs).filter(isInside)
        expect({ expression, slots: found.map(instantText) })
          .toEqual({ expression, slots: expected.filter(isInside).map(instantText) })
      }
    }
  })
})
