import type { KeyObject, X509Certificate } from 'node:crypto'
import { createPrivateKey } from 'node:crypto'
import { createSecureContext } from 'node:tls'
import { isOfAuthority, plainPem, readCertificates, validityOf } from './certificate-chain.ts'
import type { NameRules } from './certificate-names.ts'
import { namesIn, nameUri } from './certificate-names.ts'

/** Certificates and a key in PEM. */
export interface TlsTexts {
  /** Certificates of the authorities to trust, instead of those that Node trusts. */
  readonly ca?: string | undefined
  /** The own certificate, and intermediate ones behind it. */
  readonly cert?: string | undefined
  /** The key of the own certificate. */
  readonly key?: string | undefined
}

/** One of the {@link TlsTexts}. */
export type TlsPart = keyof TlsTexts

/** What a process trusts and shows over TLS, checked. */
export interface TlsMaterial {
  /** In PEM; undefined: the authorities that Node trusts. */
  readonly ca: string | undefined
  readonly authorities: readonly X509Certificate[]
  /** Shown to whoever asks; null: nothing. */
  readonly own: OwnCertificate | null
}

/** A certificate with its key. */
export interface OwnCertificate {
  /** In PEM, with intermediate ones behind it. */
  readonly cert: string
  /** In PEM. */
  readonly key: string
  readonly certificate: X509Certificate
}

/** What counts at the moment. It may change, from one use to the next. */
export interface TlsSource {
  readonly current: TlsMaterial
}

/** Nothing of one's own: Node's authorities, and no certificate. */
export const plainTls: TlsSource = { current: { ca: undefined, authorities: [], own: null } }

/** Whom the own certificate is to name. */
export interface ExpectedName extends NameRules {
  readonly name: string
  /** Who else is there: the certificate must not name them. */
  readonly others: readonly string[]
}

/**
 * What the certificate is for: to be shown to members, or by a server to clients of all kinds. Whose certificates the
 * clients trust is then not for this process to know.
 */
export type CertificateUse = 'member' | 'server'

/** A fault of one part. The message follows the name of the part, and never repeats a key. */
export interface TlsFault {
  readonly part: TlsPart
  readonly message: string
}

/** What {@link readTlsMaterial} found. */
export type TlsReading =
  | { readonly kind: 'material', readonly material: TlsMaterial }
  | { readonly kind: 'faults', readonly faults: readonly TlsFault[] }

/** Checks what Node would pass over in silence, or fail with at the first connection. Names every fault. */
export function readTlsMaterial (
  texts: TlsTexts,
  expected: ExpectedName | null,
  nowMs: number,
  use: CertificateUse = 'member'
): TlsReading {
  const faults: TlsFault[] = []
  const { ca, cert, key } = texts
  const authorities = ca === undefined ? [] : readCertificates(ca)
  if (authorities === null) faults.push({ part: 'ca', message: `must be one or more certificates in PEM${hint(ca)}` })
  if (cert !== undefined && key === undefined) {
    faults.push({ part: 'key', message: 'is required together with the certificate' })
  }
  if (cert === undefined && key !== undefined) {
    faults.push({ part: 'cert', message: 'is required together with the key' })
  }
  if (use === 'member' && (cert !== undefined || key !== undefined) && ca === undefined) {
    faults.push({
      part: 'ca',
      message: 'is required together with a certificate: it says whose certificates are those of members'
    })
  }
  const chain = cert === undefined ? null : readCertificates(cert)
  if (cert !== undefined && chain === null) {
    faults.push({ part: 'cert', message: `must be a certificate in PEM${hint(cert)}` })
  }
  const privateKey = key === undefined ? null : readKey(key, faults)
  if (chain !== null) {
    const [certificate, ...intermediates] = chain
    for (const message of faultsOf(certificate, expected, nowMs, use)) faults.push({ part: 'cert', message })
    if (authorities !== null && ca !== undefined && !isOfAuthority(certificate, intermediates, authorities)) {
      faults.push({ part: 'cert', message: 'is of none of the authorities in ca: the other members would refuse it' })
    }
    if (privateKey !== null && !certificate.checkPrivateKey(privateKey)) {
      faults.push({ part: 'key', message: 'does not belong to the certificate: give the key that it was made with' })
    }
  }
  if (faults.length > 0) return { kind: 'faults', faults }
  const own = chain === null ? null : { cert: plainPem(cert ?? ''), key: key ?? '', certificate: chain[0] }
  const material = { ca: ca === undefined ? undefined : plainPem(ca), authorities: authorities ?? [], own }
  const reason = uselessBecause(material)
  if (reason === null) return { kind: 'material', material }
  const message = `is of no use to TLS (${reason}): issue one with a stronger key and signature`
  return { kind: 'faults', faults: [{ part: own === null ? 'ca' : 'cert', message }] }
}

/** Why OpenSSL would use none of it, for a weak key or signature for instance; null when it does. */
function uselessBecause ({ ca, own }: TlsMaterial): string | null {
  if (ca === undefined && own === null) return null
  try {
    createSecureContext({ ca, cert: own?.cert, key: own?.key })
    return null
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}

/** For a path in place of a text. */
function hint (text = ''): string {
  return text.includes('-----BEGIN') || text.includes('\n') ? '' : ': the text of the file, not its name'
}

function readKey (pem: string, faults: TlsFault[]): KeyObject | null {
  if (/-----BEGIN ENCRYPTED PRIVATE KEY-----|Proc-Type: 4,ENCRYPTED/.test(pem)) {
    const message = 'is encrypted, and nobody can be asked for its passphrase: decrypt it ("openssl pkey"), and let ' +
      'nobody else read it'
    faults.push({ part: 'key', message })
    return null
  }
  try {
    return createPrivateKey(pem)
  } catch {
    faults.push({ part: 'key', message: `must be a private key in PEM${hint(pem)}` })
    return null
  }
}

const serverAuth = '1.3.6.1.5.5.7.3.1'
const clientAuth = '1.3.6.1.5.5.7.3.2'

function * faultsOf (
  certificate: X509Certificate,
  expected: ExpectedName | null,
  nowMs: number,
  use: CertificateUse
): Generator<string> {
  const { fromMs, untilMs } = validityOf(certificate)
  if (nowMs < fromMs) {
    yield `is not valid before ${new Date(fromMs).toISOString()}: wait, or set the clock of this machine`
  }
  if (nowMs > untilMs) yield `has expired at ${new Date(untilMs).toISOString()}: renew it`
  // What a certificate may be used for; Node calls it keyUsage.
  const { keyUsage } = certificate as { readonly keyUsage?: readonly string[] }
  const missing = keyUsage === undefined
    ? []
    : [
        ...(use === 'server' ? [] : [[clientAuth, 'clientAuth']]),
        ...(use === 'member' && expected === null ? [] : [[serverAuth, 'serverAuth']])
      ].filter(([id = '']) => !keyUsage.includes(id))
  if (missing.length > 0) {
    yield `must be issued for ${missing.map(([, name]) => name).join(' and ')} as well (extendedKeyUsage)`
  }
  if (expected === null) return
  const { clusterId, name, others } = expected
  const names = namesIn(certificate, expected)
  if (!names.has(name)) {
    const dnsName = expected.form === 'uri' ? '' : `the DNS name ${name} or `
    yield `names ${names.size === 0 ? 'nobody' : [...names].join(', ')}, and this node is "${name}": issue it with ` +
      `${dnsName}the URI ${nameUri(clusterId, name)} as subjectAltName`
  }
  const named = others.filter((other) => names.has(other))
  if (named.length > 0) {
    yield `names ${named.join(', ')} as well, and would let this node speak for them: give each member one of its own`
  }
}
