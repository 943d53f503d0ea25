import { describe, expect, it } from 'vitest'
import { createMap } from '../../../src/plugin/primitives/map.ts'
import type { MapWatch } from '../../../src/plugin/primitives/map-watch.ts'
import { bytesOf, streamOf } from '../../support/byte-streams.ts'
import { settle } from '../../support/manual-clock.ts'
import { startTestCluster } from './support/primitives.ts'

/** The next change of a watch that has one. */
async function nextOf<V> (watch: MapWatch<V>) {
  const step = await watch.next()
  if (step.done === true) throw new Error('the watch is over')
  return step.value
}

describe('a watch of a map', () => {
  it('shows each write as a node applies it, with the values as they were', async () => {
    const { node } = startTestCluster(2)
    const here = createMap<{ n: number }>(node(0), 'm')
    const watch = createMap<{ n: number }>(node(1), 'm').watch()
    const { revision } = await here.set('a', { n: 1 })
    await here.set('a', { n: 2 })
    await here.delete('a')
    await here.delete('a')
    await createMap(node(0), 'other').set('a', 1)
    await here.set('b', { n: 3 })
    expect(await nextOf(watch)).toEqual({ revision, events: [{ kind: 'set', key: 'a', value: { n: 1 } }] })
    expect(await nextOf(watch)).toEqual({ revision: revision + 1, events: [{ kind: 'set', key: 'a', value: { n: 2 } }] })
    expect(await nextOf(watch)).toEqual({ revision: revision + 2, events: [{ kind: 'deleted', key: 'a' }] })
    expect(await nextOf(watch)).toMatchObject({ revision: revision + 5, events: [{ key: 'b' }] })
  })

  it('goes on behind a page, and behind the last change seen, on any node', async () => {
    const { node } = startTestCluster(2)
    const map = createMap<number>(node(0), 'm')
    await map.set('a/1', 1)
    const page = await map.list({ prefix: 'a/' })
    await map.set('a/2', 2)
    await map.set('b/1', 3)
    await map.set('a/1', 4)
    const first = await nextOf(map.watch({ prefix: 'a/', afterRevision: page.revision }))
    expect(first).toMatchObject({ events: [{ key: 'a/2', value: 2 }] })
    const elsewhere = createMap<number>(node(1), 'm').watch({ key: 'a/1', afterRevision: first.revision })
    expect(await nextOf(elsewhere)).toMatchObject({ events: [{ key: 'a/1', value: 4 }] })
  })

  it('waits for what comes, wherever it is written, and ends with a break', async () => {
    const { node } = startTestCluster(2)
    const map = createMap<number>(node(0), 'm')
    const seen: number[] = []
    const reading = (async () => {
      for await (const { events } of map.watch({ prefix: 'a' })) {
        for (const event of events) if (event.kind === 'set') seen.push(event.value)
        if (seen.length === 3) break
      }
    })()
    await settle()
    for (const value of [1, 2, 3]) {
      await createMap(node(1), 'm').set('a', value)
      await settle()
    }
    await reading
    expect(seen).toEqual([1, 2, 3])
    expect(node(0).machine.history.followers).toBe(0)
  })

  it('gives each reader a copy of its own, and steps that are asked for at once one behind the other', async () => {
    const { node } = startTestCluster()
    const map = createMap<{ list: number[] }>(node(0), 'm')
    const [one, other] = [map.watch(), map.watch()]
    const steps = [one.next(), one.next()]
    await map.set('a', { list: [1] })
    await map.set('b', { list: [] })
    const [first, second] = await Promise.all(steps)
    expect([first?.value?.events[0]?.key, second?.value?.events[0]?.key]).toEqual(['a', 'b'])
    const event = first?.value?.events[0]
    if (event?.kind === 'set') event.value.list.push(2)
    expect(await nextOf(other)).toMatchObject({ events: [{ value: { list: [1] } }] })
  })

  it('says up to where it has shown everything, also while other keys change', async () => {
    const { node } = startTestCluster()
    const map = createMap<number>(node(0), 'm')
    const watch = map.watch({ key: 'a', afterRevision: 1 })
    expect(watch.revision).toBe(1)
    const step = watch.next()
    await settle()
    const { revision } = await map.set('other', 1)
    expect(watch.revision).toBe(revision)
    await map.set('a', 2)
    await step
    expect(watch.revision).toBe(revision + 1)
  })

  it('is told that changes are forgotten when its node was given a snapshot', async () => {
    const { node } = startTestCluster(2)
    const map = createMap<number>(node(1), 'm')
    const waiting = map.watch()
    const step = waiting.next()
    await settle()
    node(1).engine.isCutOff = true
    await createMap(node(0), 'm').set('a', 1)
    await node(1).machine.restore(streamOf(await bytesOf(node(0).machine.snapshot())))
    await expect(step).rejects.toMatchObject({ code: 'RAFT_COMPACTED', revision: 2 })
    expect(await waiting.next()).toEqual({ done: true, value: undefined })
    const old = map.watch({ afterRevision: 1 })
    await expect(old.next()).rejects.toMatchObject({ code: 'RAFT_COMPACTED' })
    const { entries, revision } = await map.list({ read: 'local' })
    expect([entries.map(({ value }) => value), revision]).toEqual([[1], 2])
    const anew = map.watch({ afterRevision: revision })
    expect(anew.revision).toBe(revision)
  })

  it('misses nothing on a node that was cut off for a while', async () => {
    const { node } = startTestCluster(2)
    const watch = createMap<number>(node(1), 'm').watch()
    const map = createMap<number>(node(0), 'm')
    node(1).engine.isCutOff = true
    await map.set('a', 1)
    await map.set('a', 2)
    await settle()
    node(1).engine.heal()
    expect(await nextOf(watch)).toMatchObject({ events: [{ value: 1 }] })
    expect(await nextOf(watch)).toMatchObject({ events: [{ value: 2 }] })
  })

  it('ends with the reason of its signal, and a step under way with it', async () => {
    const { node } = startTestCluster()
    const map = createMap(node(0), 'm')
    const controller = new AbortController()
    const watch = map.watch({ signal: controller.signal })
    const step = watch.next()
    await settle()
    controller.abort(new Error('enough'))
    await expect(step).rejects.toThrow('enough')
    expect(await watch.next()).toEqual({ done: true, value: undefined })
    await expect(map.watch({ signal: controller.signal }).next()).rejects.toThrow('enough')
    expect(node(0).machine.history.followers).toBe(0)
  })

  it('ends when its node closes, and fails when its node fails', async () => {
    const { node } = startTestCluster()
    const closing = new AbortController()
    const closed = createMap({ ...node(0), closed: closing.signal }, 'm').watch()
    const failed = createMap(node(0), 'm').watch()
    const steps = [closed.next(), failed.next()] as const
    await settle()
    closing.abort()
    node(0).engine.events.emit('failed', new Error('the disk'))
    expect(await steps[0]).toEqual({ done: true, value: undefined })
    await expect(steps[1]).rejects.toMatchObject({ code: 'RAFT_STOPPED' })
  })

  it('ends when it is returned from, also in the middle of a step', async () => {
    const { node } = startTestCluster()
    const watch = createMap(node(0), 'm').watch()
    const step = watch.next()
    await settle()
    await watch.return?.()
    expect(await step).toEqual({ done: true, value: undefined })
  })

  it.each([
    ['a key and a prefix', { key: 'a', prefix: 'a' }],
    ['an empty key', { key: '' }],
    ['a negative revision', { afterRevision: -1 }],
    ['half a revision', { afterRevision: 1.5 }],
    ['a negative timeout', { timeoutMs: -1 }]
  ])('refuses %s', (_what, options) => {
    const map = createMap(startTestCluster().node(0), 'm')
    expect(() => map.watch(options)).toThrow(expect.objectContaining({ code: 'RAFT_INVALID_OPTIONS' }) as Error)
  })
})
