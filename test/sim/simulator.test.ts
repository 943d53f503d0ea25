import { describe, expect, it } from 'vitest'
import { noUsers } from './plan.ts'
import { runSeed } from './run-seed.ts'
import type { RunReport } from './simulation.ts'

const firstSeed = Number(process.env.SIM_SEED ?? 1)
const seedCount = Number(process.env.SIM_SEEDS ?? 40)

describe('simulator', () => {
  it(`keeps every promise over ${seedCount} seeds`, { timeout: 60_000 + seedCount * 1_000 }, async () => {
    const reports: RunReport[] = []
    const startedAt = performance.now()
    for (let seed = firstSeed; seed < firstSeed + seedCount; seed++) {
      reports.push(await runSeed(seed, { plan: { durationUs: 12_000_000 }, traceLines: 60 }))
    }
    const seconds = (performance.now() - startedAt) / 1_000
    const total = (pick: (report: RunReport) => number): number =>
      reports.reduce((sum, report) => sum + pick(report), 0)
    console.log(
      `${seedCount} seeds in ${seconds.toFixed(1)} s: ${total((report) => report.events)} events, ` +
        `${total((report) => report.elections)} elections, ${total((report) => report.acknowledged)} acknowledged, ` +
        `${total((report) => report.readsConfirmed)} reads, ${total((report) => report.crashes)} crashes, ` +
        `${total((report) => report.leasesTaken)} leases, ${total((report) => report.suspensions)} suspensions of which ${total((report) => report.resumptions)} were resumed, ${total((report) => report.changes)} changes of membership, ${total((report) => report.calls)} calls, ${total((report) => report.keyed)} with a key and ${total((report) => report.keyedRepeats)} repeats of one, ${total((report) => report.grants)} locks, ${total(({ users }) => users.counted)} numbers counted under locks of which ${total(({ users }) => users.turns)} out of a queue, ${total(({ users }) => users.singletonRuns)} runs of a singleton, ${total(({ users }) => users.placedRuns)} of tasks that are spread, ${total(({ users }) => users.slots)} slots, ${total(({ users }) => users.done)} done once, ${total(({ users }) => users.watched)} changes watched, ${total((report) => report.snapshots)} snapshots, ${total((report) => report.installed)} installed, ${(total((report) => report.simulatedMs) / 1_000).toFixed(0)} simulated s`
    )
    // A simulator in which nothing happens would prove nothing.
    expect(new Set(reports.map((report) => report.size)).size).toBeGreaterThan(1)
    expect(total((report) => report.elections)).toBeGreaterThan(seedCount)
    expect(total((report) => report.acknowledged)).toBeGreaterThan(20 * seedCount)
    expect(total((report) => report.readsConfirmed)).toBeGreaterThan(20 * seedCount)
    expect(total((report) => report.crashes)).toBeGreaterThan(seedCount)
    expect(total((report) => report.changes)).toBeGreaterThan(2 * seedCount)
    expect(total((report) => report.calls)).toBeGreaterThan(50 * seedCount)
    expect(total((report) => report.keyed)).toBeGreaterThan(5 * seedCount)
    expect(total((report) => report.keyedRepeats)).toBeGreaterThan(5 * seedCount)
    expect(total((report) => report.grants)).toBeGreaterThan(3 * seedCount)
    expect(total(({ users }) => users.counted)).toBeGreaterThan(2 * seedCount)
    expect(total(({ users }) => users.turns)).toBeGreaterThan(seedCount / 2)
    expect(total(({ users }) => users.singletonRuns)).toBeGreaterThan(seedCount)
    expect(total(({ users }) => users.placedRuns)).toBeGreaterThan(seedCount)
    expect(total(({ users }) => users.slots)).toBeGreaterThan(seedCount)
    expect(total(({ users }) => users.done)).toBeGreaterThan(seedCount)
    expect(total(({ users }) => users.watched)).toBeGreaterThan(10 * seedCount)
    expect(total((report) => report.snapshots)).toBeGreaterThan(3 * seedCount)
    expect(total((report) => report.installed)).toBeGreaterThan(seedCount / 4)
    expect(total((report) => report.transfers)).toBeGreaterThan(seedCount / 2)
  })

  it.each([
    ['late answers opened a window of appends each, without end', 53],
    ['a log of which little was committed was sent in so many copies that it took too long', 5_000_270],
    ['the log of a process that had ended was written to', 5_000_475],
    ['a new member lacked more than it was given time for', 5_000_336],
    ['a change that had waited in a node that stood still began after the healed were chosen', 5_002_058],
    ['a node that was to stay down was started again after the healing', 5_003_626]
  ] as const)('keeps every promise where once %s (seed %i)', { timeout: 120_000 }, async (_what, seed) => {
    const { events, acknowledged } = await runSeed(seed, { plan: { users: noUsers }, traceLines: 60 })
    expect(acknowledged).toBeGreaterThan(0)
    expect(events).toBeLessThan(1_000_000)
  })

  it('gives the same trace for the same seed, and other traces for other seeds', async () => {
    const plan = { durationUs: 20_000_000 }
    const hashesOf = (): Promise<string[]> =>
      Promise.all([11, 12, 13].map(async (seed) => (await runSeed(seed, { plan })).traceHash))
    const hashes = await hashesOf()
    expect(await hashesOf()).toEqual(hashes)
    expect(new Set(hashes).size).toBe(3)
  })
})
