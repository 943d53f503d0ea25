import { X509Certificate } from 'node:crypto'

/** More intermediate authorities than any certificate needs. */
const maxIntermediates = 8

const certificateText = /-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g

/** The certificates in a text in PEM; null when there is none, or a broken one. */
export function readCertificates (pem: string): readonly [X509Certificate, ...X509Certificate[]] | null {
  try {
    const [first, ...others] = (pem.match(certificateText) ?? []).map((text) => new X509Certificate(text))
    return first === undefined ? null : [first, ...others]
  } catch {
    return null
  }
}

/**
 * The certificates of a text in a form that OpenSSL reads as a whole: what stands between them is left out, and each
 * begins on a line of its own. OpenSSL passes over one that begins on the line on which another one ends.
 */
export function plainPem (pem: string): string {
  return (pem.match(certificateText) ?? []).map((text) => `${text}\n`).join('')
}

/**
 * Whether one of the authorities has signed a certificate, or an intermediate one on the way to it. Node does not say
 * which authority it trusted a connection by, and a server may have authorities for clients that are none for members.
 */
export function isOfAuthority (
  certificate: X509Certificate,
  intermediates: readonly X509Certificate[],
  authorities: readonly X509Certificate[]
): boolean {
  let signed = certificate
  for (let steps = 0; steps <= maxIntermediates; steps++) {
    if (authorities.some((authority) => hasSigned(authority, signed))) return true
    const next = intermediates.find((intermediate) => intermediate.ca && hasSigned(intermediate, signed))
    if (next === undefined) return false
    signed = next
  }
  return false
}

function hasSigned (issuer: X509Certificate, certificate: X509Certificate): boolean {
  return certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey)
}

/** Milliseconds since 1970 from which on, and until which, a certificate is valid. */
export function validityOf (
  { validFrom, validTo }: X509Certificate
): { readonly fromMs: number, readonly untilMs: number } {
  return { fromMs: Date.parse(validFrom), untilMs: Date.parse(validTo) }
}
