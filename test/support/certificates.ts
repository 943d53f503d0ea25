import { generate } from 'selfsigned'

/** A certificate and its key, in PEM. */
export interface TestCertificate {
  readonly cert: string
  readonly key: string
}

/** What a certificate says. */
export interface CertificateRequest {
  readonly dns?: readonly string[]
  readonly uris?: readonly string[]
  readonly ips?: readonly string[]
  readonly commonName?: string
  /** Left out: for servers and clients. */
  readonly uses?: { readonly serverAuth?: boolean, readonly clientAuth?: boolean }
  readonly fromMs?: number
  /** A day from now when left out. */
  readonly untilMs?: number
  /** Of the signature; sha256 when left out. */
  readonly algorithm?: 'sha1' | 'sha256'
}

/** An authority of a test. */
export interface TestAuthority {
  /** Its certificate. */
  readonly ca: string
  readonly issue: (request: CertificateRequest) => Promise<TestCertificate>
  /** An authority below this one. */
  readonly intermediate: (commonName: string) => Promise<TestAuthority>
}

/** An authority, and a server on 127.0.0.1 and localhost that it vouches for. */
interface TestCertificates {
  readonly ca: string
  readonly server: TestCertificate
}

/** Makes a new authority and a certificate of it, valid for a day. */
export async function createCertificates (): Promise<TestCertificates> {
  const { ca, issue } = await createAuthority()
  return { ca, server: await issue({ dns: ['localhost'], ips: ['127.0.0.1'], uses: { serverAuth: true } }) }
}

/** Makes a new authority, valid for a day. */
export async function createAuthority (commonName = 'test authority', above?: TestCertificate): Promise<TestAuthority> {
  const authority = await make(commonName, [
    { name: 'basicConstraints', cA: true, critical: true },
    { name: 'keyUsage', keyCertSign: true, critical: true }
  ], {}, above)
  return {
    ca: authority.cert,
    issue: async (request) => await make(request.commonName ?? 'test', extensionsOf(request), request, authority),
    intermediate: async (name) => await createAuthority(name, authority)
  }
}

type Extensions = NonNullable<NonNullable<Parameters<typeof generate>[1]>['extensions']>

function extensionsOf (request: CertificateRequest): Extensions {
  const { dns = [], uris = [], ips = [], uses = { serverAuth: true, clientAuth: true } } = request
  return [
    { name: 'basicConstraints', cA: false, critical: true },
    { name: 'extKeyUsage', ...uses },
    {
      name: 'subjectAltName',
      altNames: [
        ...dns.map((value) => ({ type: 2, value }) as const),
        ...uris.map((value) => ({ type: 6, value }) as const),
        ...ips.map((ip) => ({ type: 7, ip }) as const)
      ]
    }
  ]
}

async function make (
  commonName: string,
  extensions: Extensions,
  {
    fromMs = Date.now() - 60_000,
    untilMs = Date.now() + 86_400_000,
    algorithm = 'sha256'
  }: Pick<CertificateRequest, 'fromMs' | 'untilMs' | 'algorithm'>,
  ca?: TestCertificate
): Promise<TestCertificate> {
  const made = await generate([{ name: 'commonName', value: commonName }], {
    keyType: 'ec',
    algorithm,
    notBeforeDate: new Date(fromMs),
    notAfterDate: new Date(untilMs),
    extensions,
    ...(ca === undefined ? {} : { ca })
  })
  return { cert: made.cert, key: made.private }
}
