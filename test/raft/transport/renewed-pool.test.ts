import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { promisify } from 'node:util'
import { describe, expect, it, onTestFinished } from 'vitest'
import { RenewedPool } from '../../../src/raft/transport/renewed-pool.ts'
import { connectOptions } from '../../../src/raft/transport/tls.ts'
import { undici } from '../../../src/raft/transport/undici.ts'
import type { TlsMaterial } from '../../../src/raft/trust/tls-material.ts'
import { readTlsMaterial } from '../../../src/raft/trust/tls-material.ts'
import type { TestCertificate } from '../../support/certificates.ts'
import { createAuthority } from '../../support/certificates.ts'

const { ca, issue } = await createAuthority()

function showing (certificate: TestCertificate): TlsMaterial {
  const reading = readTlsMaterial({ ca, ...certificate }, null, Date.now())
  if (reading.kind === 'faults') throw new Error(JSON.stringify(reading.faults))
  return reading.material
}

describe('connections with certificates', () => {
  it('show those of the moment, and requests under way go on over the connections of before', async () => {
    const waiting: ServerResponse[] = []
    const identity = await issue({ dns: ['localhost'] })
    const server = createServer({ ...identity, ca, requestCert: true }, ({ socket, url }, response) => {
      response.setHeader('x-serial', (socket as TLSSocket).getPeerX509Certificate()?.serialNumber ?? '')
      if (url === '/slow') waiting.push(response.writeHead(200).on('error', () => {}))
      else response.end()
    })
    server.listen(0, 'localhost')
    await once(server, 'listening')
    const [first, second] = [showing(await issue({ dns: ['n1'] })), showing(await issue({ dns: ['n1'] }))]
    const tls = { current: first }
    const url = `https://localhost:${(server.address() as AddressInfo).port}`
    const pool = new RenewedPool(url, tls, (material) => ({ connect: connectOptions(5_000, material, null) }))
    onTestFinished(async () => {
      await pool.destroy()
      server.closeAllConnections()
      server.close()
    })
    const serialOf = async (path: string): Promise<unknown> => {
      const { headers, body } = await undici.request.call(pool.current, { path, method: 'GET' })
      await body.dump()
      return headers['x-serial']
    }
    expect(await serialOf('/')).toBe(first.own?.certificate.serialNumber)
    const slow = serialOf('/slow')
    await expect.poll(() => waiting.length).toBe(1)
    tls.current = second
    expect(await serialOf('/')).toBe(second.own?.certificate.serialNumber)
    waiting[0]?.end()
    expect(await slow).toBe(first.own?.certificate.serialNumber)
    // The connections of before are closed, and only those.
    await expect.poll(async () => await promisify(server.getConnections.bind(server))()).toBe(1)
  })
})
