import type { TlsOptions } from '../../gateway/index.ts'
import type { Flags, FlagValues } from './flag-values.ts'

/** Flags of commands that call nodes over https. */
export const tlsFlags: Flags = {
  'tls-ca-file': {
    value: '<file>',
    text: 'certificates of the authorities of https nodes, in PEM',
    variable: 'CLUSTER_TLS_CA_FILE'
  },
  'tls-cert-file': { value: '<file>', text: 'certificate to show to https nodes', variable: 'CLUSTER_TLS_CERT_FILE' },
  'tls-key-file': { value: '<file>', text: 'key of that certificate', variable: 'CLUSTER_TLS_KEY_FILE' }
}

/** The option `tls` that the flags make; null without any of them. */
export function readTlsFlags (values: FlagValues): TlsOptions | null {
  const [caFile, certFile, keyFile] = Object.keys(tlsFlags).map((flag) => values.text(flag))
  const tls = {
    ...(caFile == null ? {} : { caFile }),
    ...(certFile == null ? {} : { certFile }),
    ...(keyFile == null ? {} : { keyFile })
  }
  return Object.keys(tls).length === 0 ? null : tls
}
