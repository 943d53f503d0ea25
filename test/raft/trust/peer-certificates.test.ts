import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { connect, createServer } from 'node:tls'
import { describe, expect, it, onTestFinished } from 'vitest'
import { PeerCertificates } from '../../../src/raft/trust/peer-certificates.ts'
import type { TlsMaterial } from '../../../src/raft/trust/tls-material.ts'
import { readTlsMaterial } from '../../../src/raft/trust/tls-material.ts'
import type { CertificateRequest, TestAuthority } from '../../support/certificates.ts'
import { createAuthority } from '../../support/certificates.ts'
import { until } from '../../support/until.ts'

const authority = await createAuthority('members')
const clients = await createAuthority('clients')
const server = await authority.issue({ dns: ['n1'] })

function trusting (...authorities: readonly TestAuthority[]): TlsMaterial {
  const reading = readTlsMaterial({ ca: authorities.map(({ ca }) => ca).join('\n') }, null, Date.now())
  if (reading.kind === 'faults') throw new Error(JSON.stringify(reading.faults))
  return reading.material
}

/** The server's end of a connection over which a caller has shown such a certificate. */
async function shown (by: TestAuthority, request: CertificateRequest, above: string[] = []): Promise<TLSSocket> {
  // An application may let clients of another authority in.
  const ca = [authority.ca, clients.ca]
  const listener = createServer({ ...server, ca, requestCert: true, rejectUnauthorized: false })
  listener.listen(0, '127.0.0.1')
  await once(listener, 'listening')
  const { cert, key } = await by.issue(request)
  const connected = once(listener, 'secureConnection') as Promise<[TLSSocket]>
  const { port } = listener.address() as AddressInfo
  const chain = [cert, ...above].join('\n')
  const caller = connect({ port, host: '127.0.0.1', ca: authority.ca, cert: chain, key, servername: 'n1' })
  const [socket] = await connected
  onTestFinished(() => {
    caller.destroy()
    socket.destroy()
    listener.close()
  })
  return socket
}

describe('the certificate of a connection', () => {
  const rules = { clusterId: 'orders', form: 'any' } as const

  it('proves its names, and nothing over a connection without TLS', async () => {
    const certificates = new PeerCertificates({ current: trusting(authority) }, rules)
    expect([...certificates.prove(await shown(authority, { dns: ['n2'] }))]).toEqual(['n2'])
    expect(certificates.namesOf(new Socket()).size).toBe(0)
  })

  it('proves them by way of an intermediate authority that came along', async () => {
    const certificates = new PeerCertificates({ current: trusting(authority) }, rules)
    const between = await authority.intermediate('between')
    expect([...certificates.prove(await shown(between, { dns: ['n2'] }, [between.ca]))]).toEqual(['n2'])
  })

  it('proves nothing when the server took it by an authority of clients', async () => {
    const socket = await shown(clients, { dns: ['n2'] })
    expect(socket.authorized).toBe(true)
    const certificates = new PeerCertificates({ current: trusting(authority) }, rules)
    expect(certificates.namesOf(socket).size).toBe(0)
    expect(() => certificates.prove(socket)).toThrow('is not of an authority that this node trusts')
  })

  it('proves nothing any more once its authority is taken out, on an open connection too', async () => {
    const socket = await shown(authority, { dns: ['n2'] })
    const tls = { current: trusting(authority) }
    const certificates = new PeerCertificates(tls, rules)
    expect([...certificates.namesOf(socket)]).toEqual(['n2'])
    tls.current = trusting(clients, authority)
    expect([...certificates.namesOf(socket)]).toEqual(['n2'])
    tls.current = trusting(clients)
    expect(certificates.namesOf(socket).size).toBe(0)
  })

  it('proves nothing any more once it has expired', async () => {
    const socket = await shown(authority, { dns: ['n2'], untilMs: Date.now() + 3_000 })
    const certificates = new PeerCertificates({ current: trusting(authority) }, rules)
    expect([...certificates.namesOf(socket)]).toEqual(['n2'])
    await until('it has expired', () => certificates.namesOf(socket).size === 0)
    expect(() => certificates.prove(socket)).toThrow('its certificate has expired')
  })
})
