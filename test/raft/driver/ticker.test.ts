import { afterEach, describe, expect, it } from 'vitest'
import type { TickerOptions } from '../../../src/raft/driver/ticker.ts'
import { Ticker } from '../../../src/raft/driver/ticker.ts'
import { systemTimers } from '../../../src/raft/runtime/timers.ts'
import { until } from '../../support/until.ts'

const running: Ticker[] = []

function run (overrides: Partial<TickerOptions> = {}) {
  const state = { nowMs: 0, ticks: 0, drain: false, leaderHeard: () => { ticker.leaderHeard() } }
  const ticker = new Ticker({
    timers: systemTimers,
    tickMs: 10,
    wakeAfterMs: () => 10,
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

  it('drops ticks that were due before a message of a leader', async () => {
    const state = run()
    state.nowMs = 48
    state.leaderHeard()
    await turn()
    expect(state.ticks).toBe(0)
    state.nowMs = 50
    await until('the next tick', () => state.ticks === 1)
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
