import { describe, expect, it } from 'vitest'
import { toTicks } from '../../../src/raft/driver/timing.ts'

describe('timing in ticks', () => {
  it.each([
    { heartbeatMs: 100, electionTimeoutMinMs: 500, electionTimeoutMaxMs: 1_000 },
    { heartbeatMs: 10, electionTimeoutMinMs: 40, electionTimeoutMaxMs: 50 },
    { heartbeatMs: 100, electionTimeoutMinMs: 150, electionTimeoutMaxMs: 200 },
    { heartbeatMs: 60_000, electionTimeoutMinMs: 600_000, electionTimeoutMaxMs: 1_200_000 }
  ])('leases end before the silence that they rest on, and that ends within the shortest election timeout', (timing) => {
    const { tickMs, heartbeatTicks, leaseTicks, leaseMs, electionTicksMin } = toTicks(timing)
    expect(leaseTicks).toBeLessThanOrEqual(electionTicksMin)
    // The first tick of the silence may be as short as nothing, and its clock 5 % faster than the leader's.
    expect(leaseMs * 1.05).toBeLessThanOrEqual((leaseTicks - 1) * tickMs + 1e-9)
    expect(leaseMs).toBeGreaterThan(heartbeatTicks * tickMs)
  })

  it('one of the rounds of heartbeats may be lost before the lease lapses', () => {
    const { leaseMs } = toTicks({ heartbeatMs: 100, electionTimeoutMinMs: 500, electionTimeoutMaxMs: 1_000 })
    expect(leaseMs).toBeGreaterThan(200)
  })
})
