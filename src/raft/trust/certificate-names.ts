import type { X509Certificate } from 'node:crypto'

/**
 * Which names of certificates count: `any` takes the URIs of this package where a certificate has some, and otherwise
 * its DNS names; `uri` takes the URIs alone.
 */
export type NameForm = 'any' | 'uri'

/** How names of certificates are read. */
export interface NameRules {
  readonly clusterId: string
  readonly form: NameForm
}

const scheme = 'fastify-raft:'

/** The URI that names a member, or a gateway, of one cluster alone. */
export function nameUri (clusterId: string, name: string): string {
  return `${scheme}//${clusterId}/${name}`
}

/**
 * Ids of members and names of gateways that a certificate was issued for. Only subjectAltName counts, no common name
 * (RFC 9525, section 2). A name is compared as a whole, letter by letter, and a wildcard stands for nobody. A
 * certificate with a URI of this package is for the clusters in its URIs, and its DNS names are then those of hosts.
 */
export function namesIn (certificate: X509Certificate, { clusterId, form }: NameRules): ReadonlySet<string> {
  const entries = entriesOf(certificate.subjectAltName)
  const uris = entries.filter(({ kind, value }) => kind === 'URI' && value.startsWith(scheme))
  if (uris.length > 0 || form === 'uri') {
    const ownPrefix = nameUri(clusterId, '')
    return new Set(uris.flatMap(({ value }) => value.startsWith(ownPrefix) ? [value.slice(ownPrefix.length)] : []))
  }
  return new Set(entries.flatMap(({ kind, value }) => kind === 'DNS' ? [value] : []))
}

interface Entry {
  readonly kind: string
  readonly value: string
}

/** One entry as Node writes it: what could be taken for the start of another one stands in quotes, as in JSON. */
const entryText = /([^:,"]+):(?:("(?:[^"\\]|\\.)*")|([^,"]*))(?:, |$)/y

/** None when the text is not one that Node writes. */
function entriesOf (subjectAltName: string | undefined): readonly Entry[] {
  if (subjectAltName === undefined) return []
  const entries: Entry[] = []
  entryText.lastIndex = 0
  while (entryText.lastIndex < subjectAltName.length) {
    const match = entryText.exec(subjectAltName)
    if (match === null) return []
    const [, kind = '', quoted, plain = ''] = match
    entries.push({ kind, value: quoted === undefined ? plain : String(JSON.parse(quoted)) })
  }
  return entries
}
