import { describe, expect, it } from 'vitest'
import { Overdue } from '../../../src/raft/transport/overdue.ts'
import { until } from '../../support/until.ts'

const withinMs = 40

describe('what is overdue', () => {
  it('ends once, no sooner than it may and within twice that', async () => {
    const ended: string[] = []
    const overdue = new Overdue<string>(withinMs, (item) => { ended.push(item) })
    const startMs = performance.now()
    overdue.begin('first')
    await until('it has ended', () => ended.length > 0)
    expect(performance.now() - startMs).toBeGreaterThanOrEqual(withinMs - 1)
    overdue.begin('second')
    await until('the next one has ended', () => ended.length > 1)
    expect(ended).toEqual(['first', 'second'])
  })

  it('does not end what was done in time, however long ago it began', async () => {
    const ended: string[] = []
    const overdue = new Overdue<string>(withinMs, (item) => { ended.push(item) })
    overdue.begin('done')
    overdue.begin('old')
    overdue.done('done')
    await until('the other one has ended', () => ended.length > 0)
    expect(ended).toEqual(['old'])
  })
})
