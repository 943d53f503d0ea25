import type { ExpectedName, TlsFault, TlsMaterial, TlsPart, TlsTexts } from '../../raft/index.ts'
import type { CertificateUse, TlsInputs } from '../../raft/internal.ts'
import { plainTls, readTlsInputs } from '../../raft/internal.ts'
import type { Fault } from './schema-reader.ts'

/** How nodes are called over https. Texts and files are in PEM. */
export interface TlsOptions {
  /** Certificates of the authorities to trust, instead of those that Node trusts. */
  readonly ca?: string
  readonly caFile?: string
  /** Certificate to show to the nodes, with intermediate ones behind it. */
  readonly cert?: string
  readonly certFile?: string
  /** Key of the certificate. */
  readonly key?: string
  readonly keyFile?: string
}

/** The options as they were read, and what to read them from again. */
export interface ResolvedTls {
  readonly inputs: TlsInputs
  readonly material: TlsMaterial
}

const fileOptions = { ca: 'caFile', cert: 'certFile', key: 'keyFile' } as const satisfies Record<TlsPart, string>
const noTls: ResolvedTls = { inputs: { texts: {}, files: {}, expected: null }, material: plainTls.current }

/** The certificate that a server shows. Texts and files are in PEM. */
export type ServerCertificateOptions = Pick<TlsOptions, 'cert' | 'certFile' | 'key' | 'keyFile'>

/** Reads what a server shows to its clients. */
export function readServerTls (
  options: ServerCertificateOptions,
  path: string,
  faults: Fault[]
): ResolvedTls {
  const found: Fault[] = []
  const read = readTls(options, null, found, 'server')
  if (found.length === 0 && read.material.own === null) {
    found.push({ path: 'tls', message: 'needs certFile and keyFile, or their texts' })
  }
  faults.push(...found.map((fault) => ({ ...fault, path: fault.path.replace(/^tls/, path) })))
  return read
}

/** Reads texts and files, and checks what they hold. `expected`: whom the certificate is to name; null: anybody. */
export function readTls (
  options: TlsOptions = {},
  expected: ExpectedName | null,
  faults: Fault[],
  use?: CertificateUse
): ResolvedTls {
  const { ca, cert, key, caFile, certFile, keyFile } = options
  const texts: TlsTexts = { ca, cert, key }
  const files: TlsTexts = { ca: caFile, cert: certFile, key: keyFile }
  const parts = Object.keys(fileOptions) as readonly TlsPart[]
  const twice = parts.filter((part) => texts[part] !== undefined && files[part] !== undefined)
  for (const part of twice) {
    faults.push({ path: `tls.${fileOptions[part]}`, message: `must not be given together with ${part}` })
  }
  if (twice.length > 0) return noTls
  const inputs = { texts, files, expected, ...(use === undefined ? {} : { use }) }
  const reading = readTlsInputs(inputs)
  if (reading.kind === 'material') return { inputs, material: reading.material }
  faults.push(...reading.faults.map((fault) => faultOf(fault, files)))
  return noTls
}

function faultOf ({ part, message }: TlsFault, files: TlsTexts): Fault {
  return { path: `tls.${files[part] === undefined ? part : fileOptions[part]}`, message }
}
