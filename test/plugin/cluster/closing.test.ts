import { once } from 'node:events'
import { createServer } from 'node:http'
import { connect as connectHttp2 } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { connect } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import type { FastifyInstance } from 'fastify'
import Fastify from 'fastify'
import { describe, expect, it, onTestFinished } from 'vitest'
import { cluster } from '../../../src/plugin/index.ts'
import type { Leadership } from '../../../src/raft/index.ts'
import { createCertificates } from '../../support/certificates.ts'
import { until } from '../../support/until.ts'
import { fakeApp, threeMembers } from '../support/fake-app.ts'

/** Work that waits until the test lets it go on. */
class Turn {
  #give: (() => void) | null = null

  get isAwaited (): boolean { return this.#give !== null }
  give (): void { this.#give?.() }
  async come (): Promise<void> { await new Promise<void>((resolve) => { this.#give = resolve }) }
}

describe('a leader that closes', () => {
  it('hands leadership over before it waits for its connections, not after', async () => {
    let whileClosing: Leadership | null | undefined
    const { app, engine } = await fakeApp(threeMembers(), (app) => {
      app.addHook('preClose', async () => { whileClosing = engine.currentLeadership() })
    })
    engine.lead()
    await app.listen({ port: 0, host: '127.0.0.1' })
    await app.close()
    expect(whileClosing).toBeNull()
  })
})

describe('a node that closes', () => {
  it('answers requests that wait for the cluster after closeTimeoutMs, and does not wait for their timeouts', async () => {
    const app = Fastify()
    onTestFinished(async () => { await app.close() })
    let arrived = 0
    app.addHook('onRequest', async () => { arrived++ })
    // The others are not there: nothing can be read or written.
    const { members = [] } = threeMembers()
    await app.register(cluster, { id: 'n1', members, requestTimeoutMs: 60_000, closeTimeoutMs: 200 })
    const url = await app.listen({ port: 0, host: '127.0.0.1' })
    const read = fetch(`${url}/_cluster/v1/kv/a`)
    const write = fetch(`${url}/_cluster/v1/kv/a`, {
      method: 'PUT',
      headers: { 'content-type': 'application/json' },
      body: '{"value":1}'
    })
    await until('both have arrived', () => arrived === 2)
    await app.close()
    for (const answer of await Promise.all([read, write])) {
      expect([answer.status, (await answer.json() as { code: string }).code]).toEqual([503, 'RAFT_STOPPED'])
    }
  })

  it('cuts an endless answer that it passes on', async () => {
    const leader = createServer((_req, res) => { res.write('and so on') })
    await new Promise<void>((resolve) => { leader.listen(0, '127.0.0.1', resolve) })
    onTestFinished(() => { leader.closeAllConnections(); leader.close() })
    const options = { ...threeMembers((leader.address() as AddressInfo).port - 1), closeTimeoutMs: 200 }
    const { app, engine } = await fakeApp(options, (app) => {
      app.get('/endless', { forward: true }, async () => 'here')
    })
    engine.lose('n2')
    const answer = await fetch(`${await app.listen({ port: 0, host: '127.0.0.1' })}/endless`)
    const reading = answer.text()
    const cut = expect(reading).rejects.toThrow()
    await app.close()
    await cut
  })

  it('serves the preClose hooks of the application, and those of a lone node to the end', async () => {
    let wasStopped: boolean | null = null
    const { app, engine } = await fakeApp(threeMembers(), (app) => {
      app.addHook('preClose', async () => {
        await delay(200)
        wasStopped = engine.stopped
      })
    })
    engine.lose('n2')
    await app.listen({ port: 0, host: '127.0.0.1' })
    await app.close()
    expect([wasStopped, engine.stopped]).toEqual([false, true])
    const lone = Fastify()
    let revision = 0
    await lone.register(cluster)
    lone.addHook('onClose', async () => { revision = (await lone.cluster.map('m').set('last', 1)).revision })
    await lone.listen({ port: 0, host: '127.0.0.1' })
    await lone.close()
    expect(revision).toBeGreaterThan(0)
  })

  it('does not lead again: it hands over what another node hands to it', async () => {
    const turn = new Turn()
    const { app, engine } = await fakeApp({ ...threeMembers(), closeTimeoutMs: 60_000 }, (app) => {
      app.get('/slow', async () => { await turn.come() })
    })
    engine.lead()
    const answer = fetch(`${await app.listen({ port: 0, host: '127.0.0.1' })}/slow`)
    await until('it has arrived', () => turn.isAwaited)
    const closed = app.close()
    await until('another one leads', () => !app.cluster.isLeader)
    engine.lead()
    await until('another one leads again', () => !app.cluster.isLeader)
    turn.give()
    expect((await answer).status).toBe(200)
    await closed
  })
})

describe('a server over TLS that closes', () => {
  it.each(['/soon', '/endless'])('does not wait for a session of HTTP/2: %s', async (path) => {
    const { ca, server } = await createCertificates()
    const app = Fastify({ http2: true, https: { allowHTTP1: true, ...server } }) as unknown as FastifyInstance
    await app.register(cluster, { closeTimeoutMs: 200 })
    app.get('/soon', async () => 'here')
    app.get('/endless', (_request, reply) => { reply.hijack().raw.write('and so on') })
    const client = connectHttp2(await app.listen({ port: 0, host: '127.0.0.1' }), { ca }).on('error', () => {})
    onTestFinished(() => { client.destroy() })
    const stream = client.request({ ':path': path }).on('error', () => {}).resume()
    await once(stream, path === '/soon' ? 'end' : 'response')
    await app.close()
  })

  it('does not wait for a connection that never begins TLS', async () => {
    const { server } = await createCertificates()
    const app = Fastify({ https: server }) as unknown as FastifyInstance
    await app.register(cluster, { closeTimeoutMs: 200 })
    await app.listen({ port: 0, host: '127.0.0.1' })
    const socket = connect((app.server.address() as AddressInfo).port, '127.0.0.1').on('error', () => {})
    onTestFinished(() => { socket.destroy() })
    await once(app.server, 'connection')
    await app.close()
  })
})

describe('a grant of waitForLeadership', () => {
  it('ends before leadership moves, and there is no other one', async () => {
    const ends: unknown[] = []
    const { app, engine } = await fakeApp(threeMembers())
    engine.lead()
    const { signal } = await app.cluster.waitForLeadership()
    signal.addEventListener('abort', () => { ends.push(app.cluster.isLeader, signal.reason) })
    const closed = app.close()
    await until('it has ended', () => signal.aborted)
    await expect(app.cluster.waitForLeadership()).rejects.toMatchObject({ code: 'RAFT_STOPPED' })
    await closed
    expect(ends).toEqual([true, expect.objectContaining({ code: 'RAFT_STOPPED' })])
  })
})

describe('a singleton of a leader that closes', () => {
  it('ends before leadership moves', async () => {
    let ledAtEnd: boolean | null = null
    const turn = new Turn()
    const { app, engine } = await fakeApp({ ...threeMembers(), closeTimeoutMs: 60_000 }, (app) => {
      app.cluster.singleton('polite', async (signal) => {
        if (!signal.aborted) await once(signal, 'abort')
        await turn.come()
        ledAtEnd = app.cluster.isLeader
      })
    })
    engine.lead()
    const closed = app.close()
    await until('its signal has aborted', () => turn.isAwaited)
    turn.give()
    await closed
    expect(ledAtEnd).toBe(true)
    expect(engine.currentLeadership()).toBeNull()
  })

  it('and ignores its signal keeps neither leadership nor the process, and is named in the log', async () => {
    const lines: string[] = []
    const stream = { write: (line: string) => { lines.push(line) } }
    let lost = false
    const { app, engine } = await fakeApp(
      { ...threeMembers(), closeTimeoutMs: 1_000, forward: { waitForLeaderMs: 200 } },
      (app) => {
        app.cluster.singleton('deaf', async () => { await new Promise(() => {}) })
        app.cluster.singleton('polite', async (signal) => { if (!signal.aborted) await once(signal, 'abort') })
      },
      { logger: { level: 'error', stream } }
    )
    const { state } = app.cluster.singleton('third', () => {})
    expect(state).toBe('waiting')
    engine.lead()
    const startMs = performance.now()
    const closed = app.close().then(() => { lost = true })
    // Well before the singleton's time is over.
    await until('leadership has moved', () => engine.currentLeadership() === null)
    expect(lost).toBe(false)
    await closed
    expect(performance.now() - startMs).toBeLessThan(10_000)
    const told = lines.map((line) => JSON.parse(line) as { singleton?: string, msg: string })
    expect(told.map(({ singleton, msg }) => [singleton, msg])).toEqual([
      ['deaf', 'the singleton ignores its signal: closing without it']
    ])
  })
})
