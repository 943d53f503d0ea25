import { describe, expect, it } from 'vitest'
import { createBarrier, createCounter, createLatch, createRateLimiter } from '../../../src/plugin/primitives/tallies.ts'
import { settle } from '../../support/manual-clock.ts'
import { startTestCluster } from './support/primitives.ts'

describe('a counter', () => {
  it('is one number for all nodes', async () => {
    const { node } = startTestCluster(3)
    const sums = await Promise.all(Array.from({ length: 30 }, (_, at) => createCounter(node(at % 3), 'c').add()))
    expect(new Set(sums).size).toBe(30)
    expect(await createCounter(node(1), 'c').add(-40)).toBe(-10)
    expect(await createCounter(node(2), 'c').get()).toBe(-10)
    await createCounter(node(0), 'c').remove()
    expect(await createCounter(node(2), 'c').get()).toBe(0)
    await expect(createCounter(node(0), 'c').add(0.5)).rejects.toMatchObject({ code: 'RAFT_INVALID_OPTIONS' })
    await createCounter(node(0), 'c').add(Number.MAX_SAFE_INTEGER)
    await expect(createCounter(node(0), 'c').add()).rejects.toMatchObject({ code: 'RAFT_TOO_LARGE' })
  })
})

describe('a latch', () => {
  it('opens for all who wait when it was counted down, and stays open', async () => {
    const { node } = startTestCluster(3)
    let open = 0
    const waiting = [0, 1, 2].map(async (at) => {
      await createLatch(node(at), 'l', 2).wait()
      open++
    })
    expect(await createLatch(node(0), 'l', 2).countDown()).toBe(1)
    await settle()
    expect(open).toBe(0)
    expect(await createLatch(node(1), 'l', 2).countDown()).toBe(0)
    await Promise.all(waiting)
    expect(await createLatch(node(1), 'l', 2).countDown()).toBe(0)
    await createLatch(node(2), 'l', 2).wait()
  })

  it('keeps nobody waiting for longer than asked for', async () => {
    const { node } = startTestCluster(1)
    const late = createLatch(node(0), 'l', 1).wait({ timeoutMs: 100 })
    const gone = createLatch(node(0), 'l', 1).wait({ signal: AbortSignal.abort(new Error('enough')) })
    const outcomes = Promise.allSettled([late, gone])
    await node(0).clock.advance(150)
    expect(await outcomes).toMatchObject([{ reason: { code: 'RAFT_TIMEOUT' } }, { reason: { message: 'enough' } }])
    expect(node(0).clock.timers).toBe(0)
  })
})

describe('a barrier', () => {
  it('lets so many go on together, round after round', async () => {
    const { node } = startTestCluster(3)
    for (const round of [0, 1, 2]) {
      const early = [0, 1].map((at) => createBarrier(node(at), 'b', 3).arrive())
      await settle()
      const all = await Promise.all([...early, createBarrier(node(2), 'b', 3).arrive()])
      expect(all).toEqual([round, round, round])
    }
  })
})

describe('a rate limiter', () => {
  it('is one bucket for all nodes', async () => {
    const { cluster, node } = startTestCluster(2)
    const limiter = (at: number) => createRateLimiter(node(at), 'r', { permits: 3, perMs: 300 })
    expect(await limiter(0).take(2)).toEqual({ allowed: true, remaining: 1, retryAfterMs: 0 })
    expect(await limiter(1).take()).toEqual({ allowed: true, remaining: 0, retryAfterMs: 0 })
    expect(await limiter(0).take()).toEqual({ allowed: false, remaining: 0, retryAfterMs: 100 })
    cluster.timeMs += 100
    expect(await limiter(1).take()).toMatchObject({ allowed: true })
    await expect(limiter(0).take(4)).rejects.toMatchObject({ code: 'RAFT_INVALID_OPTIONS' })
  })
})

describe('numbers and names out of bounds', () => {
  const { node } = startTestCluster(1)
  it.each([
    () => createCounter(node(0), ''),
    () => createLatch(node(0), 'l', 0),
    () => createLatch(node(0), 'x'.repeat(201), 1),
    () => createBarrier(node(0), 'b', 1.5),
    () => createRateLimiter(node(0), 'r', { permits: 1_000_001, perMs: 1 }),
    () => createRateLimiter(node(0), 'r', { permits: 1, perMs: 0 }),
    () => createRateLimiter(node(0), 'r', { permits: 1, perMs: 604_800_001 })
  ])('are refused: %s', (create) => {
    expect(create).toThrow(expect.objectContaining({ code: 'RAFT_INVALID_OPTIONS' }))
  })
})
