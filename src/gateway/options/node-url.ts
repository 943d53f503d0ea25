/** The base URL of a node, brought into one form, or its fault. */
type ReadNodeUrl =
  | { readonly kind: 'ok', readonly origin: string, readonly hostname: string }
  | { readonly kind: 'fault', readonly message: string }

/**
 * Reads the base URL of a node: http or https, a host, perhaps a port, and nothing else. Forwarded requests go there
 * with their own path, so that a path, a query or credentials of its own could only mislead.
 */
export function readNodeUrl (text: string): ReadNodeUrl {
  if (!URL.canParse(text)) return fault(`is not a URL: ${JSON.stringify(text)}`)
  const url = new URL(text)
  if (url.protocol !== 'http:' && url.protocol !== 'https:') return fault('must start with http:// or https://')
  if (url.username !== '' || url.password !== '' || text.includes('@')) {
    return fault('must not contain a user name or password')
  }
  if (url.pathname !== '/') return fault('must not have a path')
  // By the text: `new URL` drops an empty query or fragment, and silently repairs slashes and white space.
  if (!/^https?:\/\/[^/?#\\\s]+\/?$/i.test(text)) return fault('must be scheme, host and port, and nothing else')
  if (url.port === '0') return fault('must have a port that can be connected to')
  return { kind: 'ok', origin: url.origin, hostname: url.hostname }
}

/** The origin of a URL from an untrusted source; null when a node cannot have it. */
export function originOf (text: string): string | null {
  const read = readNodeUrl(text)
  return read.kind === 'ok' ? read.origin : null
}

function fault (message: string): ReadNodeUrl {
  return { kind: 'fault', message }
}
