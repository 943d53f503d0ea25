import { execFileSync } from 'node:child_process'
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { plainPem } from '../../../src/raft/trust/certificate-chain.ts'
import { namesIn } from '../../../src/raft/trust/certificate-names.ts'
import type { ExpectedName, TlsTexts } from '../../../src/raft/trust/tls-material.ts'
import { readTlsMaterial } from '../../../src/raft/trust/tls-material.ts'
import type { CertificateRequest } from '../../support/certificates.ts'
import { createAuthority } from '../../support/certificates.ts'

const authority = await createAuthority()
const own = await authority.issue({ dns: ['n1', 'n1.internal'] })
const expected: ExpectedName = { name: 'n1', clusterId: 'orders', form: 'any', others: ['n2'] }

function faultsOf (texts: TlsTexts, whom: ExpectedName | null = expected): readonly string[] {
  const reading = readTlsMaterial(texts, whom, Date.now())
  return reading.kind === 'material' ? [] : reading.faults.map(({ part, message }) => `${part} ${message}`)
}

async function names (request: CertificateRequest, form: 'any' | 'uri' = 'any'): Promise<readonly string[]> {
  const { cert } = await authority.issue(request)
  return [...namesIn(new X509Certificate(cert), { clusterId: 'orders', form })]
}

describe('the names of a certificate', () => {
  it('are its DNS names, whole and letter by letter', async () => {
    expect(await names({ dns: ['n1', 'N2', '*.internal'], commonName: 'n3', ips: ['127.0.0.1'] }))
      .toEqual(['n1', 'N2', '*.internal'])
  })

  it('are no common name', async () => {
    expect(await names({ ips: ['127.0.0.1'], commonName: 'n1' })).toEqual([])
  })

  it('are those of its URIs for this cluster where it has such URIs, and hosts are none', async () => {
    expect(await names({ dns: ['n2'], uris: ['fastify-raft://orders/n1'] })).toEqual(['n1'])
    expect(await names({ dns: ['n1'], uris: ['fastify-raft://other/n1', 'fastify-raft://orders'] })).toEqual([])
    expect(await names({ dns: ['n1'], uris: ['https://orders/n1'] })).toEqual(['n1'])
  })

  it('are those of its URIs alone when told so', async () => {
    expect(await names({ dns: ['n1'] }, 'uri')).toEqual([])
    expect(await names({ dns: ['n2'], uris: ['fastify-raft://orders/n1'] }, 'uri')).toEqual(['n1'])
  })

  it('are not made up by what stands within one', async () => {
    expect(await names({ dns: ['x, DNS:n1'] })).toEqual(['x, DNS:n1'])
    expect(await names({ dns: ['x", DNS:n1, "'] })).toEqual(['x", DNS:n1, "'])
    expect(await names({ uris: ['https://x/, DNS:n1'] })).toEqual([])
  })
})

describe('a certificate of a member', () => {
  it('is taken with its key and its authority', () => {
    const reading = readTlsMaterial({ ca: authority.ca, ...own }, expected, Date.now())
    expect(reading).toMatchObject({ kind: 'material', material: { ca: plainPem(authority.ca), own: { key: own.key } } })
    expect(faultsOf({}, null)).toEqual([])
    expect(faultsOf({ ca: authority.ca }, null)).toEqual([])
  })

  it('has authorities that OpenSSL reads as well when one begins where another one ends', async () => {
    const other = await createAuthority('other')
    const [first, second] = [authority.ca, other.ca].map((pem) => pem.trim()) as [string, string]
    const reading = readTlsMaterial({ ca: `${first}${second}# end`, ...own }, expected, Date.now())
    expect(reading).toMatchObject({ kind: 'material', material: { ca: `${first}\n${second}\n`, authorities: { length: 2 } } })
  })

  it('is taken with the intermediate authority behind it, and not without', async () => {
    const between = await authority.intermediate('between')
    const below = await between.issue({ dns: ['n1'] })
    expect(faultsOf({ ca: authority.ca, key: below.key, cert: `${below.cert}\n${between.ca}` })).toEqual([])
    expect(faultsOf({ ca: authority.ca, ...below })).toEqual([
      'cert is of none of the authorities in ca: the other members would refuse it'
    ])
  })

  it.each<[string, CertificateRequest, RegExp]>([
    ['for another id', { dns: ['n3'] }, /^cert names n3, and this node is "n1": issue it with the DNS name n1 or the URI fastify-raft:\/\/orders\/n1/],
    ['for nobody', { commonName: 'n1' }, /^cert names nobody, and this node is "n1"/],
    ['for another cluster', { dns: ['n1'], uris: ['fastify-raft://other/n1'] }, /^cert names nobody/],
    ['for another member as well', { dns: ['n1', 'n2'] }, /^cert names n2 as well, and would let this node speak for them/],
    ['that has expired', { dns: ['n1'], fromMs: Date.now() - 2e6, untilMs: Date.now() - 1e6 }, /^cert has expired at 2\d{3}-.*: renew it$/],
    ['that is not valid yet', { dns: ['n1'], fromMs: Date.now() + 1e6 }, /^cert is not valid before 2\d{3}-.*clock of this machine$/],
    ['for servers alone', { dns: ['n1'], uses: { serverAuth: true } }, /^cert must be issued for clientAuth as well/],
    ['for clients alone', { dns: ['n1'], uses: { clientAuth: true } }, /^cert must be issued for serverAuth as well/]
  ])('is refused when it is one %s', async (_what, request, message) => {
    const issued = await authority.issue(request)
    expect(faultsOf({ ca: authority.ca, ...issued })).toEqual([expect.stringMatching(message)])
  })

  it('is refused when it is of another authority, if that has the same name', async () => {
    const { ca } = await createAuthority()
    expect(faultsOf({ ca, ...own })).toEqual(['cert is of none of the authorities in ca: the other members would refuse it'])
  })

  it('is refused when it is signed too weakly for TLS: no connection could be made with it', async () => {
    const weak = await authority.issue({ dns: ['n1'], algorithm: 'sha1' })
    expect(faultsOf({ ca: authority.ca, ...weak })).toEqual([expect.stringMatching(
      /^cert is of no use to TLS \(.*md too weak\): issue one with a stronger key and signature$/
    )])
  })

  it('is refused with the key of another one', async () => {
    const { key } = await authority.issue({ dns: ['n1'] })
    expect(faultsOf({ ca: authority.ca, cert: own.cert, key })).toEqual([
      'key does not belong to the certificate: give the key that it was made with'
    ])
  })

  it('is refused with an encrypted key', () => {
    const key = createPrivateKey(own.key).export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'x' })
    expect(faultsOf({ ca: authority.ca, cert: own.cert, key: String(key) })).toEqual([
      expect.stringMatching(/^key is encrypted, and nobody can be asked for its passphrase: decrypt it/)
    ])
  })

  it('is refused when texts are not in PEM, all of them at once', () => {
    expect(faultsOf({ ca: './ca.pem', cert: './cert.pem', key: './key.pem' })).toEqual([
      'ca must be one or more certificates in PEM: the text of the file, not its name',
      'cert must be a certificate in PEM: the text of the file, not its name',
      'key must be a private key in PEM: the text of the file, not its name'
    ])
  })

  it('is refused in parts', () => {
    expect(faultsOf({ ca: authority.ca, cert: own.cert })).toEqual(['key is required together with the certificate'])
    expect(faultsOf({ ca: authority.ca, key: own.key })).toEqual(['cert is required together with the key'])
    expect(faultsOf({ ...own })).toEqual([
      'ca is required together with a certificate: it says whose certificates are those of members'
    ])
  })
})

describe('openssl', () => {
  const hasOpenssl = ((): boolean => {
    try {
      execFileSync('openssl', ['version'])
      return true
    } catch {
      return false
    }
  })()

  it.skipIf(!hasOpenssl)('reads the names of a certificate alike', async () => {
    const { cert } = await authority.issue({ dns: ['n1'], uris: ['fastify-raft://orders/n1'] })
    const text = execFileSync('openssl', ['x509', '-noout', '-ext', 'subjectAltName'], { input: cert }).toString()
    expect(text).toContain('DNS:n1, URI:fastify-raft://orders/n1')
  })
})
