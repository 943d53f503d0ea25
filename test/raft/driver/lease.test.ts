import { describe, expect, it } from 'vitest'
import { LeadershipLease } from '../../../src/raft/driver/lease.ts'

function clocks () {
  const now = { monotonicMs: 1_000, wallMs: 50_000 }
  return {
    now,
    clock: { monotonicMs: () => now.monotonicMs, wallMs: () => now.wallMs },
    pass: (ms: number) => {
      now.monotonicMs += ms
      now.wallMs += ms
    }
  }
}

describe('leadership lease', () => {
  it('does not exist before a quorum has answered a round', () => {
    const { clock, now } = clocks()
    const lease = new LeadershipLease(clock, () => 400)
    expect(lease.remainingMs()).toBe(0)
    lease.started(1, { ...now })
    expect(lease.remainingMs()).toBe(0)
  })

  it('counts from the start of the round, not from its answers', () => {
    const { clock, now, pass } = clocks()
    const lease = new LeadershipLease(clock, () => 400)
    lease.started(1, { ...now })
    pass(300)
    lease.confirmed(1)
    expect(lease.remainingMs()).toBe(100)
    pass(100)
    expect(lease.remainingMs()).toBe(0)
  })

  it('takes the latest start at or before the confirmed round', () => {
    const { clock, now, pass } = clocks()
    const lease = new LeadershipLease(clock, () => 400)
    lease.started(1, { ...now })
    pass(50)
    lease.started(3, { ...now })
    lease.confirmed(2)
    expect(lease.remainingMs()).toBe(350)
    lease.confirmed(3)
    expect(lease.remainingMs()).toBe(400)
  })

  it('A13: is void when the two clocks disagree, no matter which of them stood still', () => {
    for (const stopped of ['monotonicMs', 'wallMs'] as const) {
      const { clock, now, pass } = clocks()
      const lease = new LeadershipLease(clock, () => 400)
      lease.started(1, { ...now })
      lease.confirmed(1)
      const before = now[stopped]
      pass(200)
      now[stopped] = before
      expect(lease.remainingMs()).toBe(0)
    }
  })

  it('A13: a stop too short to void it still counts as time, because the other nodes went on', () => {
    const { clock, now } = clocks()
    const lease = new LeadershipLease(clock, () => 400)
    lease.started(1, { ...now })
    lease.confirmed(1)
    now.monotonicMs += 370
    now.wallMs += 370 + 40
    expect(lease.remainingMs()).toBe(0)
    now.wallMs -= 80
    expect(lease.remainingMs()).toBe(30)
  })

  it('is gone after a reset, and rounds of an earlier term confirm nothing', () => {
    const { clock, now } = clocks()
    const lease = new LeadershipLease(clock, () => 400)
    lease.started(1, { ...now })
    lease.confirmed(1)
    lease.reset()
    expect(lease.remainingMs()).toBe(0)
    lease.confirmed(5)
    expect(lease.remainingMs()).toBe(0)
  })

  it('is finite again as soon as there is another voter', () => {
    const { clock, now, pass } = clocks()
    let durationMs = Infinity
    const lease = new LeadershipLease(clock, () => durationMs)
    lease.started(1, { ...now })
    lease.confirmed(1)
    pass(1_000)
    durationMs = 400
    expect(lease.remainingMs()).toBe(0)
  })

  it('never lapses for a sole voter once its first round is confirmed', () => {
    const { clock, now, pass } = clocks()
    const lease = new LeadershipLease(clock, () => Infinity)
    expect(lease.remainingMs()).toBe(0)
    lease.started(1, { ...now })
    lease.confirmed(1)
    pass(1e9)
    expect(lease.remainingMs()).toBe(Infinity)
  })
})
