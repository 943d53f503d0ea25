import { describe, expect, it } from 'vitest'
import { ReadBarriers } from '../../../src/raft/client/read-barriers.ts'
import { asIndex } from '../../../src/raft/core/index.ts'
import { until } from '../../support/until.ts'

describe('read barriers', () => {
  it('wait in a bounded number: the next one is refused at once, until one has ended', async () => {
    const asked: number[] = []
    const reads = new ReadBarriers({
      node: { appliedIndex: 5, read: (context) => { asked.push(context) } },
      clock: { monotonicMs: () => 0, wallMs: () => 0 },
      defaultTimeoutMs: 60_000,
      maxWaiting: 2,
      repeatAfterMs: 60_000
    })
    const open = [reads.wait({}), reads.wait({})]
    await expect(reads.wait({})).rejects.toMatchObject({ code: 'RAFT_BUSY' })
    const context = await until('the leader is asked', () => asked[0])
    reads.decided({ kind: 'confirmed', context, index: asIndex(5) })
    await Promise.all(open)
    const next = reads.wait({})
    reads.stop(new Error('the end'))
    await expect(next).rejects.toThrow('the end')
  })
})
