import { describe, expect, it } from 'vitest'
import { Overdue } from '../../../src/raft/transport/overdue.ts'
import { until } from '../../support/until.ts'

const withinMs = 40

describe('what is overdue', () => {
  it('ends once, no sooner than it may and within twice that', async () => {
    const overdue = new Overdue(withinMs)
    const startMs = performance.now()
    const ended: string[] = []
    overdue.begin(() => { ended.push('first') })
    await until('it has ended', () => ended.length > 0)
    expect(performance.now() - startMs).toBeGreaterThanOrEqual(withinMs - 1)
    overdue.begin(() => { ended.push('second') })
    await until('the next one has ended', () => ended.length > 1)
    expect(ended).toEqual(['first', 'second'])
  })

  it('does not end what was done in time, however long ago it began', async () => {
    const overdue = new Overdue(withinMs)
    const ended: string[] = []
    const done = (): void => { ended.push('done') }
    const old = (): void => { ended.push('old') }
    overdue.begin(done)
    overdue.begin(old)
    overdue.done(done)
    await until('the other one has ended', () => ended.length > 0)
    expect(ended).toEqual(['old'])
  })
})
