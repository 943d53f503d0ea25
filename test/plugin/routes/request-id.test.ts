import { randomUUID } from 'node:crypto'
import type { FastifyServerOptions } from 'fastify'
import { describe, expect, it } from 'vitest'
import { until } from '../../support/until.ts'
import { twoCopies } from '../support/two-copies.ts'

interface Line {
  readonly reqId?: string
  readonly msg: string
}

/** The request ids in the logs of both copies, of the lines that Fastify writes for one forwarded request. */
async function loggedIds (
  headers: Readonly<Record<string, string>> = {},
  serverOptions: FastifyServerOptions = {}
): Promise<ReadonlyArray<string | undefined>> {
  const lines: Line[] = []
  const stream = { write: (line: string) => { lines.push(JSON.parse(line) as Line) } }
  const { follower } = await twoCopies(async (app, registerCluster) => {
    await registerCluster()
    app.get('/x', { forward: true }, async () => 'x')
  }, { logger: { stream }, ...serverOptions })
  expect((await fetch(`${follower.url}/x`, { headers })).status).toBe(200)
  const completed = (): readonly Line[] => lines.filter(({ msg }) => msg === 'request completed')
  await until('both copies have logged it', () => completed().length === 2)
  return completed().map(({ reqId }) => reqId).sort()
}

describe('the id of a forwarded request', () => {
  it('is that of the copy that the client called, with its name where Fastify counts', async () => {
    expect(await loggedIds()).toEqual(['n1:req-1', 'req-1'])
  })

  it('is the same on both copies where the application makes its own, whatever they look like', async () => {
    const ids = await loggedIds({}, { genReqId: () => `ä ;=,"\r\n${randomUUID()}` })
    expect(ids[0]).toBe(ids[1])
  })

  it('is that of the client where the application takes it from a field', async () => {
    expect(await loggedIds({ 'x-request-id': 'c7' }, { requestIdHeader: 'x-request-id' })).toEqual(['c7', 'c7'])
    expect(await loggedIds({}, { requestIdHeader: 'x-request-id' })).toEqual(['n1:req-1', 'req-1'])
  })

  it.each([['too long', 'x'.repeat(257)], ['no text', '\ud800']])('is not told when it is %s', async (_what, id) => {
    let count = 0
    const ids = await loggedIds({}, { genReqId: () => `${id}${count++}` })
    expect(new Set(ids).size).toBe(2)
  })

  it('is not chosen by a client, which no hop proves', async () => {
    const { leader, follower } = await twoCopies(async (app, registerCluster) => {
      await registerCluster()
      app.get('/x', { forward: true }, async ({ id }) => id)
    })
    const idOf = async (url: string, headers: Record<string, string>): Promise<string> =>
      await (await fetch(`${url}/x`, { headers })).text()
    expect(await idOf(leader.url, { 'raft-request-id': 'mine' })).toMatch(/^req-/)
    expect(await idOf(leader.url, { 'raft-request-id': 'mine', 'raft-hop': 'v=1;from=n1;to=n2;term=1' })).toMatch(/^req-/)
    expect(await idOf(follower.url, { 'raft-request-id': 'mine' })).toMatch(/^n1:req-/)
  })
})
