import type { InjectOptions } from 'fastify'
import { expect, it } from 'vitest'
import { makeToken } from '../../../src/raft/internal.ts'
import { fakeApp } from '../support/fake-app.ts'

const count = 1_000
const rounds = 10

it.each<[string, number, InjectOptions]>([
  // Most of it is the way through Fastify, which both take; the slack is for a busy machine.
  ['a read of the status', 1.25, { url: '/_cluster/v1/status' }],
  ['a write of the map', 0.9, {
    method: 'PUT',
    url: '/_cluster/v1/kv/x',
    payload: JSON.stringify({ value: 'x'.repeat(1_000) })
  }]
])('1,000 refusals of %s cost less than 1,000 successes', async (_what, limit, call) => {
  const token = makeToken()
  // Each request is compared with all of them.
  const others = Array.from({ length: 9 }, (_, at) => ({ token: makeToken(), role: 'read', name: `t${at}` }) as const)
  const { app } = await fakeApp({ tokens: [...others, { token, role: 'admin', name: 'ops' }] })
  const run = async (shown: string, expected: number, calls: number): Promise<number> => {
    const headers = { authorization: `Bearer ${shown}`, 'content-type': 'application/json' }
    const startedMs = performance.now()
    for (let at = 0; at < calls; at++) {
      const { statusCode } = await app.inject({ ...call, headers })
      if (statusCode !== expected) throw new Error(`answered ${statusCode}, not ${expected}`)
    }
    return performance.now() - startedMs
  }
  const guess = makeToken()
  await run(token, 200, count / rounds)
  await run(guess, 401, count / rounds)
  let [successMs, refusalMs] = [0, 0]
  // In turns, so that a busy machine slows both alike.
  for (let round = 0; round < rounds; round++) {
    successMs += await run(token, 200, count / rounds)
    refusalMs += await run(guess, 401, count / rounds)
  }
  expect(refusalMs / successMs).toBeLessThan(limit)
}, 60_000)
