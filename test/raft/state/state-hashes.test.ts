import { expect, it } from 'vitest'
import { StateHashes } from '../../../src/raft/state/state-hashes.ts'
import { quietLogger } from '../../support/engine-cluster.ts'

it('a state that cannot be captured is not compared, and stops nothing', async () => {
  const proposed: unknown[] = []
  const hashes = new StateHashes({
    everyEntries: 10,
    log: { propose: (commands) => proposed.push(...commands) },
    logger: quietLogger
  })
  hashes.applied(10, { snapshot: () => { throw new Error('no paper') } })
  await new Promise((resolve) => { setImmediate(resolve) })
  hashes.check()
  expect(proposed).toHaveLength(0)
  hashes.applied(20, { snapshot: async function * () { yield Buffer.from('state') } })
  await new Promise((resolve) => { setImmediate(resolve) })
  expect(proposed).toHaveLength(1)
})
