import { describe, expect, it } from 'vitest'
import { LeadershipWatch } from '../../../src/raft/driver/leadership-watch.ts'
import { LeadershipLease } from '../../../src/raft/driver/lease.ts'
import { toTicks, watchTiming } from '../../../src/raft/driver/timing.ts'
import { ManualClock } from '../../support/manual-clock.ts'

const timing = toTicks({ heartbeatMs: 100, electionTimeoutMinMs: 500, electionTimeoutMaxMs: 1_000 })
const first = { token: 7, term: 3 }

/** A leader that looks every 20 ms while it runs, and what its watch told. */
class Leader {
  readonly clock = new ManualClock()
  readonly lease = new LeadershipLease(this.clock, () => timing.leaseMs)
  readonly watch = new LeadershipWatch({
    lease: this.lease,
    monotonicMs: this.clock.monotonicMs,
    ...watchTiming(timing)
  })

  readonly news: string[] = []
  #round = 0

  look (leading: typeof first | null = first, loss: Parameters<LeadershipWatch['look']>[1] = 'deposed'): void {
    for (const news of this.watch.look(leading, loss)) {
      const reason = news.kind === 'ended' ? ` ${news.reason}` : ''
      this.news.push(`${news.kind} ${news.leadership.token}${reason}`)
    }
  }

  startRound (): number {
    this.lease.started(++this.#round, { monotonicMs: this.clock.monotonicMs(), wallMs: this.clock.wallMs() })
    return this.#round
  }

  confirm (): void {
    this.lease.confirmed(this.startRound())
    this.look()
  }

  /** Runs without an answer of the others. */
  run (forMs: number): void {
    for (let leftMs = forMs; leftMs > 0; leftMs -= 20) {
      this.clock.block(Math.min(20, leftMs))
      this.look()
    }
  }
}

function start (): Leader {
  const leader = new Leader()
  leader.look()
  leader.confirm()
  expect(leader.news.splice(0)).toEqual(['started 7'])
  return leader
}

describe('the watch over a leadership', () => {
  it('ends it when the node ran and no majority answered for the length of a lease', () => {
    const leader = start()
    leader.run(260)
    expect(leader.news).toEqual([])
    leader.run(40)
    expect(leader.news).toEqual(['ended 7 quorum-lost'])
    expect(leader.watch.leadership).toBeNull()
  })

  it('D26: suspends it after a stall, asks at once, and resumes it when a majority answers', () => {
    const leader = start()
    leader.run(40)
    leader.clock.block(480)
    leader.look()
    expect(leader.news).toEqual(['suspended 7'])
    expect(leader.watch.leadership).toEqual(first)
    expect(leader.watch.takeWantsRound()).toBe(true)
    expect(leader.watch.takeWantsRound()).toBe(false)
    leader.run(100)
    leader.confirm()
    expect(leader.news).toEqual(['suspended 7', 'resumed 7'])
  })

  it('survives any number of stalls in one term', () => {
    const leader = start()
    for (let round = 0; round < 5; round++) {
      leader.clock.block(480)
      leader.look()
      leader.confirm()
      leader.run(200)
    }
    expect(leader.news.filter((news) => news.startsWith('ended') || news.startsWith('started'))).toEqual([])
    expect(leader.news).toHaveLength(10)
  })

  it('asks at once after a stall that left a rest of the lease, and suspends when that runs out meanwhile', () => {
    const leader = start()
    leader.clock.block(260)
    leader.look()
    expect(leader.watch.takeWantsRound()).toBe(true)
    leader.run(40)
    expect(leader.news).toEqual(['suspended 7'])
  })

  it('D26: ends what nobody confirms within two heartbeat intervals of running', () => {
    const leader = start()
    leader.clock.block(480)
    leader.look()
    leader.run(180)
    expect(leader.news).toEqual(['suspended 7'])
    leader.run(40)
    expect(leader.news).toEqual(['suspended 7', 'ended 7 lease-lost'])
    leader.confirm()
    expect(leader.news.at(-1)).toBe('started 7')
  })

  it('ends it at once after a stall as long as the longest election timeout', () => {
    const leader = start()
    leader.clock.block(1_000)
    leader.look()
    expect(leader.news).toEqual(['ended 7 lease-lost'])
  })

  it('gives stall after stall no more than the longest election timeout', () => {
    const leader = start()
    for (let round = 0; round < 3; round++) {
      leader.clock.block(300)
      leader.look()
    }
    expect(leader.news).toEqual(['suspended 7'])
    leader.clock.block(300)
    leader.look()
    expect(leader.news).toEqual(['suspended 7', 'ended 7 lease-lost'])
  })

  it.each([200, -200, -7_200_000])('a wall clock that is set by %i ms suspends it until the next round', (byMs) => {
    const leader = start()
    leader.run(60)
    leader.clock.moveWall(byMs)
    expect(leader.lease.remainingMs()).toBe(0)
    leader.run(20)
    expect(leader.news).toEqual(['suspended 7'])
    expect(leader.watch.takeWantsRound()).toBe(true)
    leader.run(20)
    leader.confirm()
    leader.run(20)
    expect(leader.news).toEqual(['suspended 7', 'resumed 7'])
  })

  it('A13: a machine that was suspended for longer than an election takes has lost it, whatever its own clock counts', () => {
    const leader = start()
    leader.run(60)
    leader.clock.moveWall(5_000)
    leader.look()
    expect(leader.news).toEqual(['ended 7 lease-lost'])
  })

  it('a clock that keeps being set does not keep it', () => {
    const leader = start()
    for (let round = 0; round < 60; round++) {
      leader.clock.moveWall(-100)
      leader.run(20)
    }
    expect(leader.news).toEqual(['suspended 7', 'ended 7 lease-lost'])
  })

  it('ends it with the reason of the core, suspended or not, and follows the next one', () => {
    const leader = start()
    leader.look(null, 'transferred')
    leader.confirm()
    leader.clock.block(480)
    leader.look()
    leader.look({ token: 9, term: 5 }, 'deposed')
    leader.confirm()
    leader.look({ token: 9, term: 5 })
    expect(leader.news).toEqual(
      ['ended 7 transferred', 'started 7', 'suspended 7', 'ended 7 deposed', 'started 7', 'ended 7 deposed', 'started 9']
    )
  })

  it('tells those who were refused when the lease is back, also if nobody saw it lapse', () => {
    const leader = start()
    leader.clock.block(480)
    leader.watch.lapseTold()
    leader.confirm()
    expect(leader.news).toEqual(['resumed 7'])
    leader.confirm()
    expect(leader.news).toHaveLength(1)
  })
})
