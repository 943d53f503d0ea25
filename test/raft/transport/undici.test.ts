import { once } from 'node:events'
import { createServer } from 'node:http'
import { createRequire } from 'node:module'
import type { AddressInfo } from 'node:net'
import { describe, expect, it, onTestFinished } from 'vitest'
import { loadUndici, undici } from '../../../src/raft/transport/undici.ts'

const require = createRequire(import.meta.url)

/** Finds undici as a whole, and none of its files. */
function wholeOnly (code: string): (id: string) => unknown {
  return (id) => {
    if (id === 'undici') return require(id) as unknown
    throw Object.assign(new Error(`cannot find ${id}`), { code })
  }
}

describe('undici', () => {
  it.each(['MODULE_NOT_FOUND', 'ERR_PACKAGE_PATH_NOT_EXPORTED'])('is taken as a whole after %s of one of its files', async (code) => {
    const server = createServer((_request, response) => { response.end('here') }).listen(0, '127.0.0.1')
    onTestFinished(() => { server.close() })
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    const loaded = loadUndici(wholeOnly(code))
    expect(loaded.buildConnector).toBeTypeOf('function')
    for (const Made of [loaded.Pool, loaded.Client]) {
      const dispatcher = new Made(`http://127.0.0.1:${port}`)
      const { body } = await loaded.request.call(dispatcher, { path: '/', method: 'GET' })
      expect(await body.text()).toBe('here')
      await dispatcher.close()
    }
  })

  it('is not taken as a whole when one of its files fails otherwise', () => {
    expect(() => loadUndici(wholeOnly('EACCES'))).toThrow('cannot find undici/lib')
  })

  it('has the same pools and clients in parts and as a whole', () => {
    const whole = require('undici') as typeof undici
    expect(undici.Pool).toBe(whole.Pool)
    expect(undici.Client).toBe(whole.Client)
  })
})
