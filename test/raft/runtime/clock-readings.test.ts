import { describe, expect, it } from 'vitest'
import { ClockReadings } from '../../../src/raft/runtime/clock-readings.ts'

describe('what a node knows of the clock of another one', () => {
  it('is what it was told, and the time since then, with a margin for clocks that run apart', () => {
    let nowMs = 1_000
    const readings = new ClockReadings(() => nowMs)
    readings.note('n2', 7, 50_000)
    expect(readings.atLeastMs('n2', 7)).toBe(50_000)
    nowMs += 10_000
    // The sender's clock may have run slower than this one by a thousandth.
    expect(readings.atLeastMs('n2', 7)).toBe(59_990)
    readings.note('n2', 7, 60_400)
    expect(readings.atLeastMs('n2', 7)).toBe(60_400)
  })

  it('counts for the term in which it was told: another process may have begun anew', () => {
    const readings = new ClockReadings(() => 0)
    expect(readings.atLeastMs('n2', 7)).toBeNull()
    readings.note('n2', 7, 50_000)
    expect(readings.atLeastMs('n2', 8)).toBeNull()
    expect(readings.atLeastMs('n3', 7)).toBeNull()
    readings.note('n2', 8, 20)
    expect([readings.atLeastMs('n2', 7), readings.atLeastMs('n2', 8)]).toEqual([null, 20])
  })

  it('is kept of a bounded number of nodes', () => {
    const readings = new ClockReadings(() => 0)
    for (let node = 0; node < 1_000; node++) readings.note(`n${node}`, 1, 5)
    const kept = Array.from({ length: 1_000 }, (_, node) => readings.atLeastMs(`n${node}`, 1)).filter((at) => at !== null)
    expect(kept.length).toBeGreaterThan(0)
    expect(kept.length).toBeLessThanOrEqual(256)
  })
})
