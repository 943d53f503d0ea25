/**
 * Brings the base URL of a node into one form, its origin, or says what is wrong with it. Only http and https, a host
 * and a port are allowed: no user information, path, query or fragment.
 */
export function readNodeUrl (text: string): { readonly origin: string } | { readonly fault: string } {
  let url: URL
  try {
    url = new URL(text)
  } catch {
    return { fault: `"${text}" is not a URL` }
  }
  if (url.protocol !== 'http:' && url.protocol !== 'https:') return { fault: `"${text}" is neither http nor https` }
  if (url.username !== '' || url.password !== '') return { fault: 'a node URL must not carry user information' }
  if (url.pathname !== '/' || url.search !== '' || url.hash !== '') {
    return { fault: `"${text}" has more than scheme, host and port` }
  }
  return { origin: url.origin }
}

/** The origin of a URL that somebody else named, null when it is not one a node may have. */
export function originOf (text: string): string | null {
  const read = readNodeUrl(text)
  return 'origin' in read ? read.origin : null
}
