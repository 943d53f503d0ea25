import type { Server } from 'node:http'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect, it, onTestFinished } from 'vitest'
import { secondaryServers } from '../../../src/plugin/routes/server-bindings.ts'
import { fakeApp, threeMembers } from '../support/fake-app.ts'

// Fastify opens such a server for every further address of `localhost`; this machine may have only one.
it('peer traffic is taken off the secondary servers of localhost too', async () => {
  let secondary: Server | undefined
  const { app, engine } = await fakeApp(threeMembers(), (app) => {
    secondary = createServer((request, response) => { app.routing(request, response) })
    const bindings = secondaryServers(app) as Server[]
    bindings.push(secondary)
    expect(secondaryServers(app)).toContain(secondary)
    app.addHook('onRequest', async (_request, reply) => reply.code(401).send('who'))
  })
  if (secondary === undefined) throw new Error('not created')
  const server = secondary
  onTestFinished(async () => { await new Promise((resolve) => { server.close(resolve) }) })
  await new Promise<void>((resolve) => { server.listen(0, '127.0.0.1', resolve) })
  await app.listen({ port: 0, host: '127.0.0.1' })
  const origins = [server, app.server].map((each) => `http://127.0.0.1:${(each.address() as AddressInfo).port}`)
  for (const origin of origins) {
    expect(await (await fetch(`${origin}/_cluster/raft/x`, { method: 'POST' })).text()).toBe('peer')
    expect((await fetch(`${origin}/x`)).status).toBe(401)
  }
  expect(engine.peerRequests).toBe(2)
})
