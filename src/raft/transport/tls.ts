/** How a node is called over https. */
export interface TlsOptions {
  /** Certificates of the authorities to trust, in PEM, instead of those that Node trusts. Left out: those of Node. */
  readonly ca?: string
}

/** Options of an undici connection to a node. */
export interface ConnectOptions extends TlsOptions {
  /** How long connecting may take, in milliseconds. */
  readonly timeout: number
}

/** What undici takes to connect to a node. */
export function connectOptions (timeoutMs: number, { ca }: TlsOptions): ConnectOptions {
  return ca === undefined ? { timeout: timeoutMs } : { timeout: timeoutMs, ca }
}
