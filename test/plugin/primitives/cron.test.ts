import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { cronSlots } from '../../../src/plugin/primitives/cron.ts'
import { instantText, slotsBetween } from './support/cron-table.ts'

describe('croner', () => {
  it('is of version 11 or newer: to version 10 a question mark is every day, beside a day of the week too', () => {
    const { dependencies } = JSON.parse(readFileSync('package.json', 'utf8')) as { dependencies: Record<string, string> }
    const [, major = '0'] = /^\^(\d+)\.\d+\.\d+$/.exec(dependencies['croner'] ?? '') ?? []
    expect(Number(major)).toBeGreaterThanOrEqual(11)
    const week = slotsBetween('0 0 ? * MON', 'UTC', Date.UTC(2027, 1, 1), Date.UTC(2027, 1, 8))
    expect(week.map(instantText)).toEqual(['2027-02-01T00:00:00Z'])
  })
})

describe('an expression', () => {
  it.each([
    ['5/15 * * * *', '5-59/15'],
    ['/15 * * * *', '*/15'],
    ['0 22-2 * * *', '22-23,0-2'],
    ['0 0 * * FRI-MON', 'FRI,SAT,SUN,MON'],
    ['0 0 1 NOV-FEB *', 'NOV,DEC,JAN,FEB'],
    ['0 0 L-3 * *', '25-28'],
    ['@reboot', 'singleton'],
    ['* * * *', 'five fields'],
    ['2027-01-01T00:00:00Z', 'five fields'],
    ['61 * * * *', '61'],
    ['0 0 32 * *', 'day: 32'],
    ['0 0 0 * *', 'day: 0'],
    ['0 0 * 1-13 *', 'month: 13'],
    ['0 0 * * 8', 'dayOfWeek: 8']
  ])('%s is refused, and %s named', (expression, advice) => {
    expect(() => cronSlots(expression, 'UTC')).toThrow(expect.objectContaining({
      code: 'RAFT_CRON_INVALID',
      message: expect.stringContaining(advice) as string
    }) as Error)
  })

  it.each(['5-59/15 * * * *', '0 22-23,0-2 * * *', '0 0 * * FRI,SAT,SUN,MON', '0 0 25-28 * *', '0 0 * * FRI-SUN', '@daily',
    '0 0 0 1 1 * 2030', '0 0 LW * *', '0 9 * * 1#1'])('%s is taken', (expression) => {
    expect(cronSlots(expression, 'UTC').after(Date.UTC(2026, 0))).not.toBeNull()
  })

  it.each(['Mars/Olympus', '', '+01:00', 'x'.repeat(101)])('is in no zone "%s"', (timeZone) => {
    expect(() => cronSlots('* * * * *', timeZone)).toThrow(expect.objectContaining({ code: 'RAFT_TIME_ZONE' }) as Error)
  })

  it('that only ever was is over, one that never comes is refused', () => {
    expect(cronSlots('0 0 0 1 1 * 2020', 'UTC').after(Date.UTC(2026, 0))).toBeNull()
    for (const never of ['0 0 30 2 *', '0 0 31 2,4,6 *']) {
      expect(() => cronSlots(never, 'UTC')).toThrow(expect.objectContaining({ code: 'RAFT_CRON_NEVER' }) as Error)
    }
  })

  it('has 200 characters at most', () => {
    const longest = `*  * * * ${'1,'.repeat(96).slice(0, -1)}`
    expect(longest).toHaveLength(200)
    expect(cronSlots(longest, 'UTC').after(0)).not.toBeNull()
    expect(() => cronSlots(`${longest} `, 'UTC')).toThrow(expect.objectContaining({ code: 'RAFT_CRON_INVALID' }) as Error)
  })
})
