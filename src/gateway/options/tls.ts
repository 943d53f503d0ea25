import { X509Certificate } from 'node:crypto'
import type { TlsOptions } from '../../raft/index.ts'
import type { Fault } from './schema-reader.ts'

const certificate = /-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g

/** Refuses what Node would pass over in silence, and then trust nobody: text without a certificate, or a broken one. */
export function checkTls ({ ca }: TlsOptions, faults: Fault[]): void {
  // What the schema has refused already is not named twice.
  if (typeof ca !== 'string' || ca === '') return
  const certificates = ca.match(certificate) ?? []
  if (certificates.length > 0 && certificates.every(isCertificate)) return
  const message = 'must be one or more certificates in PEM: the text of the file, not its name'
  faults.push({ path: 'tls.ca', message })
}

function isCertificate (pem: string): boolean {
  try {
    return new X509Certificate(pem).serialNumber !== ''
  } catch {
    return false
  }
}
