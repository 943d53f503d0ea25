import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { createServer } from 'node:net'
import { describe, expect, it, onTestFinished } from 'vitest'
import { attemptConnection } from '../../../src/raft/transport/connection-attempt.ts'

/** A port of this host that nothing listens at, or that a server listens at which says nothing. */
async function port ({ isOpen }: { readonly isOpen: boolean }): Promise<number> {
  const server = createServer((socket) => { socket.on('error', () => {}) })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port: taken } = server.address() as AddressInfo
  const close = async (): Promise<void> => {
    if (!server.listening) return
    server.close()
    await once(server, 'close')
  }
  if (!isOpen) await close()
  else onTestFinished(close)
  return taken
}

async function attempt (url: string, timeoutMs = 10_000): Promise<string[]> {
  const told: string[] = []
  await new Promise<void>((resolve) => {
    attemptConnection(url, timeoutMs, {
      ended: () => {
        told.push('ended')
        setImmediate(resolve)
      },
      refused: () => { told.push('refused') }
    })
  })
  return told
}

describe('an attempt to connect', () => {
  it.each(['http', 'https'])('tells of a refusal over %s', async (scheme) => {
    expect(await attempt(`${scheme}://127.0.0.1:${await port({ isOpen: false })}`)).toEqual(['ended', 'refused'])
  })

  it('tells of a refusal when all addresses of the host refuse', async () => {
    expect(await attempt(`http://localhost:${await port({ isOpen: false })}`)).toEqual(['ended', 'refused'])
  })

  it.each(['127.0.0.1', 'localhost'])('has no news of a process that is there, at %s', async (host) => {
    expect(await attempt(`http://${host}:${await port({ isOpen: true })}`)).toEqual(['ended'])
  })

  it('has no news of a host that is not found', async () => {
    expect(await attempt('http://no-such-host.invalid:80')).toEqual(['ended'])
  })

  it('is over once, with no news, when it is ended first', async () => {
    const url = `http://127.0.0.1:${await port({ isOpen: false })}`
    const told: string[] = []
    const end = attemptConnection(url, 10_000, {
      ended: () => { told.push('ended') },
      refused: () => { told.push('refused') }
    })
    end()
    end()
    // A later attempt is decided after this one would have been.
    await attempt(url)
    expect(told).toEqual(['ended'])
  })
})
