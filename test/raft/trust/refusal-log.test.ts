import { describe, expect, it } from 'vitest'
import { OtherSecretError, UnauthenticatedError } from '../../../src/raft/errors.ts'
import type { RefusalReport } from '../../../src/raft/trust/refusal-log.ts'
import { RefusalLog } from '../../../src/raft/trust/refusal-log.ts'
import { ManualClock } from '../../support/manual-clock.ts'

interface Kit {
  readonly log: RefusalLog<string>
  readonly clock: ManualClock
  /** What was reported since it was asked last. */
  readonly reported: () => RefusalReport<string>[]
}

function kit (): Kit {
  const clock = new ManualClock()
  const reports: RefusalReport<string>[] = []
  return { clock, log: new RefusalLog((report) => { reports.push(report) }, clock), reported: () => reports.splice(0) }
}

describe('refusals', () => {
  it('are reported at once, and then once a minute with their count, each code by itself', async () => {
    const { log, clock, reported } = kit()
    log.add(new OtherSecretError('n4', 'n1'), '10.0.0.4', 'first')
    expect(reported()).toEqual([{
      code: 'RAFT_OTHER_SECRET',
      count: 1,
      reason: expect.stringContaining('"n4"') as string,
      addresses: ['10.0.0.4'],
      details: 'first'
    }])
    for (let round = 0; round < 100; round++) log.add(new OtherSecretError('n4', 'n1'), '10.0.0.4', `round ${round}`)
    log.add(new UnauthenticatedError('it carries no seal'), undefined, 'other')
    expect(reported()).toMatchObject([{ code: 'RAFT_UNAUTHENTICATED', count: 1, addresses: [], details: 'other' }])
    await clock.advance(59_999)
    expect(reported()).toEqual([])
    // Without another refusal: the burst may have been the last one.
    await clock.advance(1)
    expect(reported()).toMatchObject([{ code: 'RAFT_OTHER_SECRET', count: 100, details: 'round 99' }])
  })

  it('are forgotten after a minute without any, timers included', async () => {
    const { log, clock, reported } = kit()
    log.add(new UnauthenticatedError('it carries no seal'), undefined, 'one')
    await clock.advance(60_000)
    expect(clock.timers).toBe(0)
    log.add(new UnauthenticatedError('it carries no seal'), undefined, 'two')
    expect(reported().map(({ count, details }) => [count, details])).toEqual([[1, 'one'], [1, 'two']])
  })

  it('name a bounded number of the addresses that they came from', async () => {
    const { log, clock, reported } = kit()
    for (let host = 0; host < 100; host++) log.add(new UnauthenticatedError('no'), `10.0.0.${host}`, '')
    await clock.advance(60_000)
    const [, minute] = reported()
    expect([minute?.count, minute?.addresses.length, minute?.addresses[0]]).toEqual([99, 8, '10.0.0.1'])
  })
})
