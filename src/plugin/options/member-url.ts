/** What a member URL turned out to be. */
export type ReadMemberUrl =
  | { readonly kind: 'ok', readonly origin: string, readonly hostname: string }
  | { readonly kind: 'fault', readonly message: string }

function fault (message: string): ReadMemberUrl {
  return { kind: 'fault', message }
}

/**
 * Reads the URL of a member: http or https, a host, perhaps a port, and nothing else. Forwarded requests go there with
 * their own path, so that a path, a query or credentials of its own could only mislead.
 */
export function readMemberUrl (text: string): ReadMemberUrl {
  if (!URL.canParse(text)) return fault(`is not a URL: ${JSON.stringify(text)}`)
  const url = new URL(text)
  if (url.protocol !== 'http:' && url.protocol !== 'https:') return fault('must start with http:// or https://')
  if (url.username !== '' || url.password !== '' || text.includes('@')) {
    return fault('must not contain a user name or password')
  }
  if (url.pathname !== '/') return fault('must not have a path')
  // By the text: `new URL` drops an empty query or fragment, and repairs slashes and white space without a word.
  if (!/^https?:\/\/[^/?#\\\s]+\/?$/i.test(text)) return fault('must be scheme, host and port, and nothing else')
  if (url.port === '0') return fault('must have a port that can be connected to')
  return { kind: 'ok', origin: url.origin, hostname: url.hostname }
}
