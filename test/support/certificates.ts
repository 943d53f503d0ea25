import { generate } from 'selfsigned'

/** A certificate and its key, in PEM. */
interface Certificate {
  readonly cert: string
  readonly key: string
}

/** An authority of a test, and a server on 127.0.0.1 and localhost that it vouches for. */
export interface TestCertificates {
  /** Certificate of the authority. */
  readonly ca: string
  readonly server: Certificate
}

/** Makes a new authority and a certificate of it, valid for a day. */
export async function createCertificates (): Promise<TestCertificates> {
  const authority = await issue('test authority', [
    { name: 'basicConstraints', cA: true, critical: true },
    { name: 'keyUsage', keyCertSign: true, critical: true }
  ])
  const server = await issue('localhost', [
    { name: 'basicConstraints', cA: false, critical: true },
    { name: 'extKeyUsage', serverAuth: true },
    { name: 'subjectAltName', altNames: [{ type: 2, value: 'localhost' }, { type: 7, ip: '127.0.0.1' }] }
  ], authority)
  return { ca: authority.cert, server }
}

type Extensions = NonNullable<NonNullable<Parameters<typeof generate>[1]>['extensions']>

async function issue (commonName: string, extensions: Extensions, ca?: Certificate): Promise<Certificate> {
  const made = await generate([{ name: 'commonName', value: commonName }], {
    keyType: 'ec',
    algorithm: 'sha256',
    notAfterDate: new Date(Date.now() + 86_400_000),
    extensions,
    ...(ca === undefined ? {} : { ca })
  })
  return { cert: made.cert, key: made.private }
}
