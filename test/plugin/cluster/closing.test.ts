import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import Fastify from 'fastify'
import { describe, expect, it, onTestFinished } from 'vitest'
import { cluster } from '../../../src/plugin/index.ts'
import type { Leadership } from '../../../src/raft/index.ts'
import { until } from '../../support/until.ts'
import { fakeApp, threeMembers } from '../support/fake-app.ts'

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
  it('answers requests that wait for the cluster, and does not wait for their timeouts', async () => {
    const app = Fastify()
    let arrived = 0
    app.addHook('onRequest', async () => { arrived++ })
    // The others are not there: nothing can be read or written.
    await app.register(cluster, { id: 'n1', members: threeMembers().members ?? [], requestTimeoutMs: 60_000 })
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
    const { app, engine } = await fakeApp(threeMembers((leader.address() as AddressInfo).port - 1), (app) => {
      app.get('/endless', { forward: true }, async () => 'here')
    })
    engine.lose('n2')
    const answer = await fetch(`${await app.listen({ port: 0, host: '127.0.0.1' })}/endless`)
    const reading = answer.text()
    const cut = expect(reading).rejects.toThrow()
    await app.close()
    await cut
  })
})
