import type { X509Certificate } from 'node:crypto'
import { TLSSocket } from 'node:tls'
import { UnauthenticatedError } from '../errors.ts'
import { isOfAuthority, validityOf } from './certificate-chain.ts'
import type { NameRules } from './certificate-names.ts'
import { namesIn } from './certificate-names.ts'
import type { TlsMaterial, TlsSource } from './tls-material.ts'

/** The only version that peers speak to each other. */
export const peerTlsVersion = 'TLSv1.3'

/** What was found of one connection. */
interface Judgement {
  /** What it was judged by: other authorities are another judgement. */
  readonly material: TlsMaterial
  readonly names: ReadonlySet<string>
  readonly untilMs: number
  /** Why the certificate proves nothing; null when it does. */
  readonly reason: string | null
}

const nobody: ReadonlySet<string> = new Set()

/**
 * Judges who called by the certificate of the connection, by the authorities of the moment. Looking into a certificate
 * takes longer than most requests, so it is done once for each connection, and again when the authorities change.
 */
export class PeerCertificates {
  readonly #tls: TlsSource
  readonly #rules: NameRules
  readonly #judgements = new WeakMap<object, Judgement>()

  constructor (tls: TlsSource, rules: NameRules) {
    this.#tls = tls
    this.#rules = rules
  }

  /** The names that the certificate of a connection was issued for; none when it proves nothing. */
  namesOf (socket: object): ReadonlySet<string> {
    const { names, reason } = this.#judge(socket)
    return reason === null ? names : nobody
  }

  /** The same. Throws `RAFT_UNAUTHENTICATED` when the certificate proves nothing. */
  prove (socket: object): ReadonlySet<string> {
    const { names, reason } = this.#judge(socket)
    if (reason !== null) throw new UnauthenticatedError(reason)
    return names
  }

  #judge (socket: object): Judgement {
    const { current: material } = this.#tls
    let judgement = this.#judgements.get(socket)
    if (judgement?.material !== material) {
      judgement = this.#judgeAnew(socket, material)
      this.#judgements.set(socket, judgement)
    }
    return Date.now() > judgement.untilMs ? { ...judgement, reason: 'its certificate has expired' } : judgement
  }

  #judgeAnew (socket: object, material: TlsMaterial): Judgement {
    const refused = (reason: string): Judgement => ({ material, names: nobody, untilMs: Infinity, reason })
    if (!(socket instanceof TLSSocket)) return refused('it came without TLS')
    const certificate = socket.getPeerX509Certificate()
    if (certificate === undefined) return refused('its connection shows no certificate')
    if (!socket.authorized) return refused(`its certificate is not accepted (${String(socket.authorizationError)})`)
    const version = socket.getProtocol() ?? 'an unknown version of TLS'
    if (version !== peerTlsVersion) {
      return refused(`its connection speaks ${version}, and peers speak ${peerTlsVersion}`)
    }
    if (!isOfAuthority(certificate, intermediatesOf(certificate), material.authorities)) {
      return refused('its certificate is not of an authority that this node trusts')
    }
    const names = namesIn(certificate, this.#rules)
    if (names.size === 0) return refused('its certificate names nobody of this cluster')
    return { material, names, untilMs: validityOf(certificate).untilMs, reason: null }
  }
}

/** What the caller has sent along with its certificate. */
function intermediatesOf (certificate: X509Certificate): readonly X509Certificate[] {
  const found: X509Certificate[] = []
  for (let at = certificate.issuerCertificate; at !== undefined && found.length < 8; at = at.issuerCertificate) {
    found.push(at)
  }
  return found
}
