import type { Fault } from '../../gateway/internal.ts'
import { readTls } from '../../gateway/internal.ts'
import { InvalidOptionsError } from '../../raft/index.ts'
import { describeFaults } from './faults.ts'
import type { TlsOptions } from './options-schema.ts'

/** What a server needs to prove who it is and to find out who calls, in the form of Node's `https` options. */
export interface ServerTlsOptions {
  /** Certificates of the authorities that clients' certificates are checked by, in PEM. */
  readonly ca: string
  /** The certificate of the server, in PEM. */
  readonly cert: string
  /** Its key, in PEM. */
  readonly key: string
  /** Clients are asked for a certificate. */
  readonly requestCert: true
  /** Clients without a certificate get in, and are told from members. */
  readonly rejectUnauthorized: false
}

/**
 * The `https` options of an application whose members prove who they are by certificates:
 * `Fastify({ https: serverTls(tls) })`, with the `tls` that the plugin gets. The plugin gives such a server the new
 * certificates when the files change. Options of the application's own may be added.
 *
 * Throws `RAFT_INVALID_OPTIONS` with every fault when a certificate, its key or the authorities are missing or wrong.
 */
export function serverTls ({ names: _names, gateways: _gateways, ...tls }: TlsOptions): ServerTlsOptions {
  const faults: Fault[] = []
  const { ca, own } = readTls(tls, null, faults).material
  if (faults.length === 0 && (ca === undefined || own === null)) {
    faults.push({ path: 'tls', message: 'needs caFile, certFile and keyFile, or their texts' })
  }
  if (ca === undefined || own === null) throw new InvalidOptionsError(describeFaults(faults))
  return { ca, cert: own.cert, key: own.key, requestCert: true, rejectUnauthorized: false }
}
