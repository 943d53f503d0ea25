import { describe, expect, it } from 'vitest'
import { startLockExpiry } from '../../../src/plugin/primitives/lock-expiry.ts'
import { RemoteLocks } from '../../../src/plugin/primitives/remote-locks.ts'
import { settle } from '../../support/manual-clock.ts'
import { startTestCluster } from './support/primitives.ts'

const { signal } = new AbortController()
const asked = { name: 'l', ttlMs: 60_000, signal }

function startLocks () {
  const test = startTestCluster(2)
  startLockExpiry(test.node(0))
  const [one, other] = test.nodes.map((node) => new RemoteLocks(node))
  if (one === undefined || other === undefined) throw new Error('no nodes')
  const waiting = (): string[] => test.node(0).machine.locks.look({ name: 'l' }).waiting.map(({ owner }) => owner)
  return { ...test, one, other, waiting }
}

/** A place in the queue, and what comes of a poll that is over. */
async function queue ({ one, advance }: ReturnType<typeof startLocks>, owner: string): Promise<string> {
  const polling = one.acquire({ ...asked, owner, waitMs: 100 })
  await settle()
  await advance(150)
  return (await polling).requestId
}

describe('a place in the queue of a caller over HTTP', () => {
  it('is kept for as long as it asks again in time, on whichever node', async () => {
    const test = startLocks()
    await test.one.acquire({ ...asked, owner: 'holder', waitMs: 0 })
    const requestId = await queue(test, 'patient')
    for (const locks of [test.other, test.one, test.other]) {
      await test.advance(4_500)
      const polling = locks.acquire({ ...asked, owner: 'patient', requestId, waitMs: 100 })
      await settle()
      await test.advance(150)
      expect(await polling).toMatchObject({ state: 'waiting', position: 1 })
    }
    expect(test.waiting()).toEqual(['patient'])
  })

  it('is lost by a caller that does not ask again', async () => {
    const test = startLocks()
    await test.one.acquire({ ...asked, owner: 'holder', waitMs: 0 })
    await queue(test, 'gone')
    await queue(test, 'next')
    await test.advance(4_900)
    expect(test.waiting()).toEqual(['next'])
    await test.advance(200)
    expect(test.waiting()).toEqual([])
  })

  it('leads to nothing for a caller that does not take what it is offered', async () => {
    const test = startLocks()
    const held = await test.one.acquire({ ...asked, owner: 'holder', waitMs: 0 })
    const gone = await queue(test, 'gone')
    const next = await queue(test, 'next')
    await test.one.release('l', held.state === 'granted' ? held.token : '')
    expect(test.node(0).machine.locks.get('l')).toMatchObject({ owner: 'gone', isOffered: true })
    await test.advance(4_000)
    const polling = test.other.acquire({ ...asked, owner: 'next', requestId: next, waitMs: 3_000 })
    await settle()
    await test.advance(1_100)
    expect(await polling).toMatchObject({ state: 'offered' })
    expect(await test.one.acquire({ ...asked, owner: 'next', requestId: next, waitMs: 0 })).toMatchObject({ state: 'granted' })
    await expect(test.one.acquire({ ...asked, owner: 'gone', requestId: gone, waitMs: 0 })).rejects.toMatchObject({ code: 'RAFT_LOCK_LOST' })
  })
})
