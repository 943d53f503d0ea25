import { afterEach, describe, expect, it } from 'vitest'
import type { TickerOptions } from '../../../src/raft/driver/ticker.ts'
import { Ticker } from '../../../src/raft/driver/ticker.ts'
import { systemTimers } from '../../../src/raft/runtime/timers.ts'
import { until } from '../../support/until.ts'

const running: Ticker[] = []

function run (overrides: Partial<TickerOptions> = {}) {
  const state = {
    nowMs: 0,
    ticks: 0,
    drain: false,
    leaderHeard: () => { ticker.leaderHeard() },
    messageHeard: () => { ticker.messageHeard() }
  }
  const ticker = new Ticker({
    timers: systemTimers,
    tickMs: 10,
    quietTicks: () => 1,
    maxTicksAtOnce: 5,
    nowMs: () => state.nowMs,
    drainFirst: () => state.drain,
    tick: () => { state.ticks++ },
    ...overrides
  })
  running.push(ticker)
  ticker.start()
  return state
}

/** Lets at least one timer of the ticker fire. */
function turn () {
  return new Promise((resolve) => setTimeout(resolve, 40))
}

afterEach(() => { for (const ticker of running.splice(0)) ticker.stop() })

describe('ticker', () => {
  it('never counts more ticks than time has passed', async () => {
    const state = run()
    await turn()
    expect(state.ticks).toBe(0)
    state.nowMs = 39
    await until('three ticks', () => state.ticks === 3)
    await turn()
    expect(state.ticks).toBe(3)
    state.nowMs = 40
    await until('the fourth', () => state.ticks === 4)
  })

  it('A25: counts one tick after a stall, not all that were missed', async () => {
    const state = run()
    state.nowMs = 3_000
    await until('a tick', () => state.ticks > 0)
    await turn()
    expect(state.ticks).toBe(1)
  })

  it('counts ticks that were due before a message, and none of them after it', async () => {
    const state = run()
    state.nowMs = 48
    state.leaderHeard()
    expect(state.ticks).toBe(4)
    await turn()
    expect(state.ticks).toBe(4)
    state.nowMs = 50
    await until('the next tick', () => state.ticks === 5)
  })

  it('lets no message start an election, and drops what was due for it only when a leader speaks', async () => {
    const state = run({ quietTicks: () => 1_000, drainFirst: () => state.ticks === 2 })
    state.nowMs = 48
    state.messageHeard()
    expect(state.ticks).toBe(2)
    state.messageHeard()
    expect(state.ticks).toBe(2)
    state.leaderHeard()
    state.ticks = 0
    state.messageHeard()
    expect(state.ticks).toBe(0)
    state.nowMs = 50
    state.messageHeard()
    expect(state.ticks).toBe(1)
  })

  it('A25: leaves a stall to the timer when a message comes first', async () => {
    const state = run()
    state.nowMs = 3_000
    state.messageHeard()
    expect(state.ticks).toBe(0)
    await until('a tick', () => state.ticks > 0)
    expect(state.ticks).toBe(1)
  })

  it('sleeps while ticks change nothing, and counts them together', () => {
    const delays: number[] = []
    const fired: Array<() => void> = []
    let quiet = 5
    const timers = {
      ...systemTimers,
      after: (delayMs: number, callback: () => void) => {
        delays.push(delayMs)
        fired.push(callback)
        return () => {}
      }
    }
    const state = run({ timers, quietTicks: () => quiet })
    state.nowMs = 49.5
    fired[0]?.()
    expect(state.ticks).toBe(4)
    quiet = 1
    // Early by less than a millisecond, as timers may be: the rest is slept.
    expect(delays).toEqual([50, 41])
    state.nowMs = 51
    fired[1]?.()
    expect(state.ticks).toBe(5)
    expect(delays[2]).toBe(9)
  })

  it('drops the tick that would have started an election when a leader is heard meanwhile', async () => {
    let asked = 0
    const state = run({ drainFirst: () => ++asked === 1 })
    state.nowMs = 10
    await until('the second look', () => asked === 2)
    await turn()
    expect(state.ticks).toBe(0)
  })

  it('lets messages that have arrived be handled before a tick that would start an election', async () => {
    const order: string[] = []
    const state = run({ tick: () => { order.push('tick') }, drainFirst: () => !order.includes('tick') })
    state.nowMs = 10
    setImmediate(() => { order.push('arrived') })
    await until('the tick', () => order.includes('tick'))
    expect(order).toEqual(['arrived', 'tick'])
  })
})
