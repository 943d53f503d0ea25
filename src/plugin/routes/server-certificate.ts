import type { Server } from 'node:http'
import { Server as TlsServer } from 'node:tls'
import type { FastifyInstance } from 'fastify'
import type { Logger, TlsMaterial } from '../../raft/index.ts'
import { InvalidOptionsError, readTlsMaterial } from '../../raft/index.ts'
import type { OwnTls } from '../../raft/internal.ts'
import { plainPem } from '../../raft/internal.ts'
import type { ResolvedOptions } from '../options/options.ts'

const withCertificates =
  'Fastify({ https: serverTls(tls) }), with serverTls of this package and the tls of these options'

/**
 * Refuses a server that could not tell the members that call it from others, or that they would not take for this node:
 * it has to ask for certificates, and to show one of this node. Throws `RAFT_INVALID_OPTIONS`. A node that nobody calls
 * over https needs none of that.
 */
export function refuseUncertifiedServer (app: FastifyInstance, { tls, url }: ResolvedOptions): void {
  if (tls.material.own === null || url === '') return
  const server: object = app.server
  if (!(server instanceof TlsServer)) {
    throw new InvalidOptionsError(
      'members prove who they are with certificates, and the server speaks no TLS: nothing in front of it can pass ' +
        `them on. Start it with ${withCertificates}`
    )
  }
  const { requestCert, cert, key } = server as Partial<Record<'requestCert' | 'cert' | 'key', unknown>>
  if (requestCert !== true) {
    throw new InvalidOptionsError(
      `members show certificates, and the server does not ask for them: start it with ${withCertificates}, or add ` +
        'requestCert: true, rejectUnauthorized: false and ca to its https options'
    )
  }
  // In any other form it is for the members that call to judge.
  if (typeof cert !== 'string' || typeof key !== 'string' || plainPem(cert) === tls.material.own.cert) return
  const reading = readTlsMaterial({ ca: tls.material.ca, cert, key }, tls.inputs.expected, Date.now())
  if (reading.kind === 'material') return
  const faults = reading.faults.map(({ message }) => message).join('; ')
  throw new InvalidOptionsError(
    `the server shows another certificate than that in tls, which ${faults}. Start it with ${withCertificates}`
  )
}

/** What a server was made with beside certificates, and loses when it gets new ones. */
const keptOptions = [
  'allowPartialTrustChain', 'ciphers', 'crl', 'dhparam', 'ecdhCurve', 'honorCipherOrder', 'maxVersion', 'minVersion',
  'secureOptions', 'secureProtocol', 'sessionIdContext', 'sessionTimeout', 'sigalgs'
] as const

/**
 * Gives new certificates to the servers that show those of before, for the connections from then on; those that are
 * open go on. A server with a certificate of its own is for the application to renew, and the log says so.
 */
export function renewServers (tls: OwnTls, servers: () => readonly Server[], logger: Logger): void {
  tls.onRenewed((material, before) => {
    for (const server of servers()) if (server instanceof TlsServer) renew(server, material, before, logger)
  })
}

function renew (server: TlsServer, material: TlsMaterial, before: TlsMaterial, logger: Logger): void {
  const { cert, ca } = server as Partial<Record<'cert' | 'ca', unknown>>
  if (material.own === null) return
  if (typeof cert !== 'string' || plainPem(cert) !== before.own?.cert) {
    logger.warn({}, 'the certificate files have changed, and the server goes on with a certificate of its own')
    return
  }
  const options: Record<string, unknown> = { cert: material.own.cert, key: material.own.key }
  // One of the application's own may name authorities of clients as well.
  options.ca = typeof ca === 'string' && plainPem(ca) === before.ca ? material.ca : ca
  for (const name of keptOptions) {
    const value: unknown = Reflect.get(server, name)
    if (value !== undefined) options[name] = value
  }
  server.setSecureContext(options)
}
