import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Pool } from 'undici'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { SmallAnswer } from '../../../src/raft/transport/small-request.ts'
import { SmallRequest } from '../../../src/raft/transport/small-request.ts'
import { until } from '../../support/until.ts'

const maxAnswerBytes = 1_000

describe('an answer to a small request', () => {
  it('counts as none as soon as it is too large, and the rest of it is not read', async () => {
    let isCut = false
    const server = createServer((request, response) => {
      response.on('close', () => { isCut = !response.writableFinished })
      response.write('x'.repeat(Number(request.url?.slice(1))))
      if (request.url === `/${maxAnswerBytes}`) response.end()
    }).listen(0, '127.0.0.1')
    await once(server, 'listening')
    const pool = new Pool(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
    onTestFinished(async () => {
      await pool.destroy()
      server.close()
    })
    const ask = (bytes: number): Promise<SmallAnswer | Error> => new Promise((resolve) => {
      new SmallRequest({
        method: 'GET',
        path: `/${bytes}`,
        headers: [],
        body: null,
        timeoutMs: 10_000,
        maxAnswerBytes,
        answered: resolve,
        failed: resolve
      }).start(pool)
    })
    expect((await ask(maxAnswerBytes) as SmallAnswer).body).toHaveLength(maxAnswerBytes)
    expect(isCut).toBe(false)
    expect(await ask(maxAnswerBytes + 1)).toMatchObject({ message: `the answer has more than ${maxAnswerBytes} bytes` })
    await until('the connection is cut', () => isCut)
  })
})
