import { describe, expect, it } from 'vitest'
import { ZoneClock } from '../../../src/plugin/primitives/zone-clock.ts'
import { shownByIntl } from './support/wall-clocks.ts'

const minuteMs = 60_000

function at (text: string): number {
  return Date.parse(`${text}Z`)
}

describe('a clock of a zone', () => {
  it('shows what Intl shows, in every zone', () => {
    const zones = Intl.supportedValuesOf('timeZone')
    expect(zones.length).toBeGreaterThan(300)
    const instants = ['1970-01-01T00:00:00', '1972-01-01T12:34:56', '2011-12-30T10:00:00', '2027-01-15T08:30:00',
      '2027-07-15T20:15:00', '9999-12-30T00:00:00'].map(at)
    const wrong = zones.flatMap((zone) => {
      const clock = new ZoneClock(zone)
      return instants.filter((instantMs) => clock.shownAt(instantMs) !== shownByIntl(zone, instantMs)).map(() => zone)
    })
    expect(wrong).toEqual([])
  })

  it('finds the first instant of a time that exists once, twice and never', () => {
    const clock = new ZoneClock('America/New_York')
    expect(clock.firstInstantOf(at('2027-07-01T12:00:00'))).toBe(at('2027-07-01T16:00:00'))
    expect(clock.firstInstantOf(at('2027-11-07T01:30:00'))).toBe(at('2027-11-07T05:30:00'))
    expect(clock.firstInstantOf(at('2027-03-14T02:00:00'))).toBe(at('2027-03-14T07:00:00'))
    expect(clock.firstInstantOf(at('2027-03-14T02:59:59'))).toBe(at('2027-03-14T07:00:00'))
    expect(clock.firstInstantOf(at('2027-03-14T03:00:00'))).toBe(at('2027-03-14T07:00:00'))
  })

  it('finds none on a date that does not exist', () => {
    const clock = new ZoneClock('Pacific/Apia')
    expect(clock.firstInstantOf(at('2011-12-29T23:59:59'))).toBe(at('2011-12-30T09:59:59'))
    expect([at('2011-12-30T00:00:00'), at('2011-12-30T23:59:59')].map((wallMs) => clock.firstInstantOf(wallMs)))
      .toEqual([null, null])
    expect(clock.firstInstantOf(at('2011-12-31T00:00:00'))).toBe(at('2011-12-30T10:00:00'))
  })

  it('knows offsets that are no whole minutes', () => {
    const clock = new ZoneClock('Africa/Monrovia')
    const changeMs = at('1972-01-07T00:44:30')
    expect(clock.shownAt(changeMs - 1_000)).toBe(at('1972-01-06T23:59:59'))
    expect(clock.firstInstantOf(at('1972-01-07T00:20:00'))).toBe(changeMs)
    expect(clock.firstInstantOf(at('1972-01-07T01:00:00'))).toBe(changeMs + 15.5 * minuteMs)
  })
})
