import { readNodeUrl } from './node-url.ts'

/** Where nodes are found: one by its URL, or those that a name in the DNS stands for. */
export type Seed =
  | { readonly kind: 'url', readonly origin: string }
  /** The addresses (A and AAAA records) of the host of this origin, all with its port. */
  | { readonly kind: 'addresses', readonly origin: string }
  /** The targets of the service (SRV records, RFC 2782) that is the host of this origin, with their own ports. */
  | { readonly kind: 'services', readonly origin: string }

/** A seed, or what is wrong with its text. */
type ReadSeed =
  | { readonly kind: 'ok', readonly seed: Seed }
  | { readonly kind: 'fault', readonly message: string }

const kinds = { 'dns+': 'addresses', 'dnssrv+': 'services' } as const

/** Reads the URL of a node, with `dns+` or `dnssrv+` in front when its host is a name to be resolved. */
export function readSeed (text: string): ReadSeed {
  const prefix = (['dns+', 'dnssrv+'] as const).find((known) => text.toLowerCase().startsWith(known))
  const read = readNodeUrl(prefix === undefined ? text : text.slice(prefix.length))
  if (read.kind === 'fault') return read
  const { origin, hostname } = read
  if (prefix === undefined) return { kind: 'ok', seed: { kind: 'url', origin } }
  const { port } = new URL(origin)
  if (/^\[|^[\d.]+$/.test(hostname)) {
    return { kind: 'fault', message: `must have a name behind ${prefix}, not an address` }
  }
  if (prefix === 'dnssrv+' && port !== '') {
    return { kind: 'fault', message: 'must not have a port: SRV records have their own' }
  }
  return { kind: 'ok', seed: { kind: kinds[prefix], origin } }
}

/** A seed as it was written, in one form. */
export function seedText ({ kind, origin }: Seed): string {
  switch (kind) {
    case 'url': return origin
    case 'addresses': return `dns+${origin}`
    case 'services': return `dnssrv+${origin}`
  }
}
