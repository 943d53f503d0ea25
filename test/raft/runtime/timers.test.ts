import { describe, expect, it } from 'vitest'
import { systemTimers } from '../../../src/raft/runtime/timers.ts'

function pause (ms: number): Promise<void> {
  return new Promise((resolve) => { setTimeout(resolve, ms) })
}

describe('the timers of the process', () => {
  it('call back once after the delay, unless they are cancelled', async () => {
    const calls: string[] = []
    systemTimers.after(1, () => { calls.push('kept') })
    systemTimers.after(1, () => { calls.push('cancelled') })()
    systemTimers.after(1, () => { calls.push('background') }, { background: true })
    await pause(20)
    expect(calls.sort()).toEqual(['background', 'kept'])
  })

  it('never end a delay that is longer than setTimeout accepts', async () => {
    const calls: number[] = []
    for (const delayMs of [2 ** 31, Infinity]) systemTimers.after(delayMs, () => { calls.push(delayMs) })
    await pause(20)
    expect(calls).toEqual([])
  })

  it('call back in a later turn, after the promises of this one', async () => {
    const order: string[] = []
    const later = new Promise<void>((resolve) => {
      systemTimers.soon(() => {
        order.push('later')
        resolve()
      })
    })
    await Promise.resolve().then(() => { order.push('now') })
    await later
    expect(order).toEqual(['now', 'later'])
  })
})
