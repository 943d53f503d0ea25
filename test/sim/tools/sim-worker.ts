import { FailingSeed, runSeed } from '../run-seed.ts'
import type { BatchOrder, BatchResult, MutantOrder, MutantResult, Order } from './batches.ts'
import { noTotals } from './batches.ts'

async function runBatch ({ first, count, plan }: BatchOrder): Promise<BatchResult> {
  const cpuBefore = process.cpuUsage()
  const result: BatchResult = { hashes: [], totals: noTotals(), failures: [] }
  for (let seed = first; seed < first + count; seed++) {
    try {
      const report = await runSeed(seed, { plan, traceLines: 40 })
      const { totals } = result
      result.hashes.push([seed, report.traceHash])
      totals.events += report.events
      totals.elections += report.elections
      totals.acknowledged += report.acknowledged
      totals.reads += report.readsConfirmed
      totals.crashes += report.crashes
      totals.changes += report.changes
      totals.transfers += report.transfers
      totals.calls += report.calls
      totals.callsUnknown += report.callsUnknown
      totals.grants += report.grants
      const { users } = report
      for (const what of Object.keys(users) as Array<keyof typeof users>) totals[what] += users[what]
      totals.snapshots += report.snapshots
      totals.installed += report.installed
      totals.simulatedMs += report.simulatedMs
    } catch (error) {
      if (!(error instanceof FailingSeed)) throw error
      result.failures.push({ seed, message: error.message })
    }
  }
  const { user, system } = process.cpuUsage(cpuBefore)
  result.totals.cpuMs += (user + system) / 1_000
  return result
}

async function runMutant ({ name, first, limit }: MutantOrder): Promise<MutantResult> {
  // Only here: a mutant is compiled from the source, which needs the compiler.
  const { catchMutant } = await import('../catch-mutant.ts')
  const { mutants } = await import('../mutants.ts')
  const mutant = mutants.find((candidate) => candidate.name === name)
  if (mutant === undefined) throw new Error(`no mutant is called "${name}"`)
  const caught = await catchMutant(mutant, limit, first)
  return {
    name,
    caught: caught === null ? null : { seeds: caught.seeds, message: caught.failure.message.split('\n', 1)[0] ?? '' }
  }
}

// Carries out the orders that its parent sends, one at a time.
process.on('message', (order: Order) => {
  const work: Promise<BatchResult | MutantResult> = order.kind === 'seeds' ? runBatch(order) : runMutant(order)
  work.then((result) => { process.send?.(result) }, (error: unknown) => {
    console.error(error)
    process.exit(1)
  })
})
