import compress from '@fastify/compress'
import type { FastifyInstance } from 'fastify'
import Fastify from 'fastify'
import { describe, expect, it, onTestFinished } from 'vitest'
import { cluster } from '../../../src/plugin/index.ts'
import { MapHistory } from '../../../src/plugin/replicated/map-history.ts'
import { ChangeStreams, streamLimits } from '../../../src/plugin/v1/change-streams.ts'
import { ManualClock } from '../../support/manual-clock.ts'
import { until } from '../../support/until.ts'
import { clusterOfThree } from '../support/cluster-of-three.ts'
import { openEvents } from './support/event-stream.ts'

async function listening (app: FastifyInstance): Promise<string> {
  onTestFinished(async () => { await app.close() })
  return await app.listen({ host: '127.0.0.1', port: 0 })
}

/** A lone node that leads. */
async function loneNode (): Promise<{ readonly app: FastifyInstance, readonly url: string }> {
  const app = Fastify()
  await app.register(compress, { threshold: 0 })
  await app.register(cluster)
  const url = await listening(app)
  await app.cluster.waitForLeadership(10_000)
  return { app, url: `${url}/_cluster/v1/kv-changes` }
}

/** Streams with a clock and a history of their own. */
async function ownStreams () {
  const clock = new ManualClock()
  const streams = new ChangeStreams(clock, clock)
  let revision = 0
  const history = new MapHistory(() => revision, { maxHistoryEvents: 200, maxHistoryBytes: 1e9, maxFollowers: 10 })
  const set = (key: string, value: unknown = 1): void => {
    history.add({ revision: ++revision, events: [{ map: 'kv', key, kind: 'set', valueJson: JSON.stringify(value) }] })
  }
  const app = Fastify()
  app.get('/', (_request, reply) => { streams.open(reply, history.follow('kv', { prefix: '' })) })
  return { clock, streams, history, set, url: await listening(app) }
}

describe('the changes of kv as an event stream', () => {
  it('shows each change with its revision as the id, from where the client has read on', async () => {
    const { app, url } = await loneNode()
    const map = app.cluster.map('kv')
    const stream = await openEvents(`${url}?prefix=a`)
    expect(stream.response.statusCode).toBe(200)
    const start = await stream.next()
    expect(start).toMatchObject({ data: null })
    const { revision } = await map.set('a/1', { text: 'line\nfeed ü' })
    await map.set('b', 1)
    await map.delete('a/1')
    const first = await stream.next()
    expect(first).toEqual({
      id: String(revision),
      type: 'message',
      data: { revision, events: [{ kind: 'set', key: 'a/1', value: { text: 'line\nfeed ü' } }] }
    })
    expect(await stream.next()).toMatchObject({ data: { events: [{ kind: 'deleted', key: 'a/1' }] } })
    stream.close()
    const again = await openEvents(`${url}?prefix=a&afterRevision=0`, { 'last-event-id': first?.id ?? '' })
    expect((await again.next())?.id).toBe(first?.id)
    expect(await again.next()).toMatchObject({ data: { events: [{ kind: 'deleted' }] } })
    again.close()
    const one = await openEvents(`${url}?key=b&afterRevision=${start?.id ?? ''}`)
    await one.next()
    expect(await one.next()).toMatchObject({ data: { events: [{ key: 'b' }] } })
    one.close()
  })

  it('passes proxies at once: neither kept nor compressed', async () => {
    const { app, url } = await loneNode()
    const stream = await openEvents(url, { 'accept-encoding': 'gzip' })
    await stream.next()
    await app.cluster.map('kv').set('x', 'y'.repeat(10_000))
    expect(await stream.next()).toMatchObject({ data: { events: [{ key: 'x' }] } })
    expect(stream.response.headers).toMatchObject({
      'content-type': 'text/event-stream; charset=utf-8',
      'x-accel-buffering': 'no',
      'cache-control': 'no-store, no-transform',
      'raft-node': app.cluster.nodeId
    })
    expect(stream.response.headers).not.toHaveProperty('content-encoding')
    stream.close()
  })

  it('has only a head for HEAD', async () => {
    const { url } = await loneNode()
    const answer = await fetch(url, { method: 'HEAD' })
    expect([answer.status, await answer.text()]).toEqual([200, ''])
  })

  it.each([
    ['a revision that is none', '?afterRevision=x', {}, 400, 'RAFT_INVALID_REQUEST'],
    ['a key and a prefix', '?key=a&prefix=a', {}, 400, 'RAFT_INVALID_REQUEST'],
    ['an unknown parameter', '?from=1', {}, 400, 'RAFT_INVALID_REQUEST'],
    ['an id that no event has', '', { 'last-event-id': '-1' }, 400, 'RAFT_INVALID_REQUEST'],
    ['an id beyond all numbers', '', { 'last-event-id': '9999999999999999' }, 400, 'RAFT_INVALID_REQUEST']
  ])('refuses %s', async (_what, query, headers, status, code) => {
    const { url } = await loneNode()
    const answer = await fetch(`${url}${query}`, { headers })
    expect([answer.status, await answer.json()]).toEqual([status, expect.objectContaining({ code })])
  })

  it('keeps no node from closing, and goes on at another one behind what was seen', async () => {
    const nodes = await clusterOfThree(async (app, options) => {
      await app.register(cluster, options)
    })
    const [one, other] = nodes
    if (one === undefined || other === undefined) throw new Error('two nodes')
    const stream = await openEvents(`${one.url}/_cluster/v1/kv-changes`)
    await stream.next()
    const { revision } = await other.app.cluster.map('kv').set('a', 1)
    expect((await stream.next())?.id).toBe(String(revision))
    const startedAtMs = performance.now()
    const closing = one.app.close()
    expect(await stream.next()).toBeNull()
    await closing
    expect(performance.now() - startedAtMs).toBeLessThan(5_000)
    await other.app.cluster.map('kv').set('b', 2)
    const again = await openEvents(`${other.url}/_cluster/v1/kv-changes`, { 'last-event-id': String(revision) })
    await again.next()
    expect(await again.next()).toMatchObject({ data: { events: [{ key: 'b', value: 2 }] } })
    again.close()
  })

  it('tells its place every 15 seconds, so that a quiet client can go on', async () => {
    const { clock, set, url, streams, history } = await ownStreams()
    const stream = await openEvents(url)
    expect(await stream.next()).toEqual({ id: '0', type: 'message', data: null })
    await clock.advance(streamLimits.beatMs)
    expect((await stream.next())?.id).toBe('0')
    set('a')
    expect(await stream.next()).toMatchObject({ id: '1', data: { revision: 1 } })
    await clock.advance(streamLimits.beatMs)
    expect(await stream.next()).toEqual({ id: '1', type: 'message', data: null })
    stream.close()
    await until('the stream is forgotten', () => streams.size === 0 && history.followers === 0)
    expect(clock.timers).toBe(0)
  })

  it('ends after its time: whoever comes back is judged anew', async () => {
    const { clock, url } = await ownStreams()
    const stream = await openEvents(url)
    await clock.advance(streamLimits.maxStreamMs)
    const events: unknown[] = []
    for (let event = await stream.next(); event !== null; event = await stream.next()) events.push(event)
    expect(events.length).toBeGreaterThan(100)
  })

  it('holds little for a client that does not read, tells one that comes too late, and cuts one off that never comes', async () => {
    const { clock, set, url, streams } = await ownStreams()
    const [late, never] = [await openEvents(url), await openEvents(url)]
    await late.next()
    const text = 'x'.repeat(100_000)
    for (let count = 0; count < 300; count++) {
      set(`k${count}`, text)
      if (count % 10 === 0) await clock.advance(1)
    }
    let last = await late.next()
    let events = 0
    for (let event = last; event !== null; event = await late.next()) {
      last = event
      events++
    }
    expect(last).toMatchObject({ type: 'compacted', data: { code: 'RAFT_COMPACTED', statusCode: 410 } })
    expect(events).toBeLessThan(200)
    expect(streams.size).toBe(1)
    await clock.advance(streamLimits.maxStalledMs + streamLimits.beatMs)
    await until('the other one is cut off', () => streams.size === 0)
    never.close()
  })

  it('makes one text of a change, however many get it, and leaves nothing of those who leave', async () => {
    const { set, url, streams, history } = await ownStreams()
    const clients = await Promise.all(Array.from({ length: 10 }, () => openEvents(url)))
    for (const client of clients) await client.next()
    set('a', { b: 1 })
    for (const client of clients) expect(await client.next()).toMatchObject({ data: { events: [{ value: { b: 1 } }] } })
    const refused = await openEvents(url)
    expect(refused.response.statusCode).toBe(503)
    for (const client of clients) client.close()
    await until('all are forgotten', () => streams.size === 0 && history.followers === 0)
  })
})

describe('a revision tag of kv', () => {
  it('is weak, and spares a client the body while the key is as it was', async () => {
    const { app, url } = await loneNode()
    const at = url.replace('kv-changes', 'kv/a')
    await app.cluster.map('kv').set('a', 1)
    const answer = await fetch(at)
    const tag = answer.headers.get('etag') ?? ''
    expect(tag).toMatch(/^W\/"\d+"$/)
    expect([answer.headers.get('cache-control'), answer.headers.get('vary')]).toEqual([
      'no-cache',
      expect.stringContaining('authorization')
    ])
    for (const sent of [tag, `"x", ${tag}`, tag.slice(2)]) {
      const again = await fetch(at, { headers: { 'if-none-match': sent } })
      expect([again.status, await again.text(), again.headers.get('etag')]).toEqual([304, '', tag])
    }
    await app.cluster.map('kv').set('a', 2)
    expect((await fetch(at, { headers: { 'if-none-match': tag } })).status).toBe(200)
  })
})
