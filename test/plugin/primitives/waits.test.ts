import { describe, expect, it } from 'vitest'
import { createLock } from '../../../src/plugin/primitives/lock.ts'
import { waitLimits, Waits } from '../../../src/plugin/primitives/waits.ts'
import { until } from '../../support/until.ts'
import { fakeApp, threeMembers } from '../support/fake-app.ts'
import { startTestCluster } from './support/primitives.ts'

describe('calls that wait', () => {
  it('for one thing leave room for those that wait for another, up to what all may', async () => {
    const waits = new Waits({ maxWaits: 3, maxWaitsForOne: 2 })
    const ends: Array<() => void> = []
    const wait = (what: string): Promise<void> =>
      waits.take(what, async () => { await new Promise<void>((resolve) => { ends.push(resolve) }) })
    const open = [wait('a'), wait('a')]
    await expect(wait('a')).rejects.toMatchObject({ code: 'RAFT_BUSY' })
    open.push(wait('b'))
    await expect(wait('c')).rejects.toMatchObject({ code: 'RAFT_BUSY' })
    ends.shift()?.()
    await open.shift()
    open.push(wait('c'))
    for (const end of ends) end()
    await Promise.all(open)
  })

  it('end with the error of what they wait for, and count no more then', async () => {
    const waits = new Waits({ maxWaits: 1, maxWaitsForOne: 1 })
    await expect(waits.take('a', async () => { throw new Error('ended') })).rejects.toThrow('ended')
    expect(await waits.take('a', async () => 1)).toBe(1)
  })

  it('for a leader are bounded on a node', async () => {
    const { app } = await fakeApp(threeMembers())
    const codeOf = (error: unknown): unknown => (error as { readonly code: string }).code
    const open = Array.from({ length: waitLimits.maxWaitsForOne }, () =>
      app.cluster.waitForLeader({ timeoutMs: 60_000 }).catch(codeOf))
    await expect(app.cluster.waitForLeader()).rejects.toMatchObject({ code: 'RAFT_BUSY' })
    await expect(app.cluster.waitForLeadership(1)).rejects.toMatchObject({ code: 'RAFT_TIMEOUT' })
    await app.close()
    expect(new Set(await Promise.all(open))).toEqual(new Set(['RAFT_STOPPED']))
  })

  it('for a lock are bounded on a node', async () => {
    const context = { ...startTestCluster().node(0), waits: new Waits({ maxWaits: 2, maxWaitsForOne: 1 }) }
    const lock = createLock(context, 'l')
    const grant = await lock.acquire()
    let isTaken = false
    const next = lock.acquire({ timeoutMs: 2_000 }).then(async (taken) => {
      isTaken = true
      await taken.release()
    })
    await until('it waits', async () => {
      const refused = await lock.acquire({ timeoutMs: 1_000 }).catch((error: unknown) => error)
      return (refused as { readonly code?: string }).code === 'RAFT_BUSY'
    })
    expect(isTaken).toBe(false)
    await grant.release()
    await next
    expect(isTaken).toBe(true)
  })
})
