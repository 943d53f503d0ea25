import { X509Certificate } from 'node:crypto'
import type { PeerCertificate } from 'node:tls'
import type { buildConnector } from 'undici'
import { WrongCertificateError } from '../errors.ts'
import type { NameRules } from '../trust/certificate-names.ts'
import { namesIn } from '../trust/certificate-names.ts'
import { peerTlsVersion } from '../trust/peer-certificates.ts'
import type { TlsMaterial } from '../trust/tls-material.ts'

/** The member that is meant by a connection. */
export interface ExpectedPeer extends NameRules {
  readonly id: string
}

/**
 * What undici takes to connect to a node. With a certificate of one's own the other side has to be the member that is
 * meant, by its certificate, wherever it is; when that is not known, or without a certificate, the host of the URL has
 * to be named (RFC 9525).
 */
export function connectOptions (
  timeoutMs: number,
  { ca, own }: TlsMaterial,
  expected: ExpectedPeer | null
): buildConnector.BuildOptions {
  const timeout = { timeout: timeoutMs, ...(ca === undefined ? {} : { ca }) }
  if (own === null) return timeout
  return {
    ...timeout,
    cert: own.cert,
    key: own.key,
    minVersion: peerTlsVersion,
    // Node does not check whom a session is with when it goes on with it.
    maxCachedSessions: 0,
    ...(expected === null ? {} : { checkServerIdentity: identityCheck(expected) })
  }
}

function identityCheck (expected: ExpectedPeer): (host: string, certificate: PeerCertificate) => Error | undefined {
  return (_host, { raw }) => {
    const names = namesIn(new X509Certificate(raw), expected)
    if (names.has(expected.id)) return undefined
    const whose = names.size === 0 ? 'nobody of this cluster' : [...names].join(', ')
    return new WrongCertificateError(`"${expected.id}" is meant, and its certificate names ${whose}`)
  }
}
