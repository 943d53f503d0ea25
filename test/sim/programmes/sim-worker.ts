import { FailingSeed, runSeed } from '../run-seed.ts'
import type { BatchOrder, BatchResult } from './batches.ts'

// Runs the batches of seeds that its parent sends, one at a time.
process.on('message', ({ first, count }: BatchOrder) => {
  const result: BatchResult = { hashes: [], totals: { events: 0, elections: 0, acknowledged: 0, reads: 0, crashes: 0, changes: 0, transfers: 0, simulatedMs: 0 }, failures: [] }
  for (let seed = first; seed < first + count; seed++) {
    try {
      const report = runSeed(seed, { traceLines: 40 })
      const { totals } = result
      result.hashes.push([seed, report.traceHash])
      totals.events += report.events
      totals.elections += report.elections
      totals.acknowledged += report.acknowledged
      totals.reads += report.readsConfirmed
      totals.crashes += report.crashes
      totals.changes += report.changes
      totals.transfers += report.transfers
      totals.simulatedMs += report.simulatedMs
    } catch (error) {
      if (!(error instanceof FailingSeed)) throw error
      result.failures.push({ seed, message: error.message })
    }
  }
  process.send?.(result)
})
