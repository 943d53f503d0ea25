/** Whether a peer can be called at a URL: http or https, a host, and neither a path nor a query behind it. */
export function isPeerUrl (url: string): boolean {
  if (!URL.canParse(url)) return false
  const { protocol, pathname, search, hash } = new URL(url)
  return (protocol === 'http:' || protocol === 'https:') && pathname === '/' && search === '' && hash === ''
}
