import { describe, expect, it } from 'vitest'
import { simulateCrashes } from './support/crash-simulation.ts'

describe('a log that crashes again and again, with lost and torn writes', () => {
  it.each([1, 2, 3, 4, 5, 6])('loses nothing acknowledged and keeps each change whole (seed %i)', async (seed) => {
    const tally = await simulateCrashes(seed, 100)
    expect(tally.acknowledged).toBeGreaterThan(100)
    expect(tally.survived).toBeGreaterThan(0)
    expect(tally.duringOpen).toBeGreaterThan(0)
    expect(tally.compactions).toBeGreaterThan(10)
    expect(tally.resets).toBeGreaterThan(0)
    expect(tally.segments).toBeGreaterThan(5)
  })
})
