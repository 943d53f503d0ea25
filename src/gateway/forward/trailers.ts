/**
 * Fields that are not passed on behind a body (RFC 9110 section 6.5.1): they frame, route, authenticate, condition or
 * describe the message, and a recipient that merges trailers into the header would take them for that. And those that
 * proxies add.
 */
const neverTrailers = new Set([
  'accept-ranges', 'age', 'authorization', 'cache-control', 'connection', 'content-encoding', 'content-language',
  'content-length', 'content-location', 'content-range', 'content-type', 'cookie', 'date', 'expect', 'expires',
  'forwarded', 'host', 'keep-alive', 'location', 'max-forwards', 'pragma', 'proxy-authenticate',
  'proxy-authentication-info', 'proxy-authorization', 'proxy-connection', 'range', 'retry-after', 'set-cookie', 'te',
  'trailer', 'transfer-encoding', 'upgrade', 'vary', 'via', 'warning', 'www-authenticate', 'x-real-ip'
])

function mayTrail (lowerName: string): boolean {
  return /^[\w!#$%&'*+.^`|~-]+$/.test(lowerName) && !neverTrailers.has(lowerName) &&
    !lowerName.startsWith('if-') && !lowerName.startsWith('raft-') && !lowerName.startsWith('x-forwarded-')
}

/** Whether the value of a TE field says that its sender does not discard trailers (RFC 9110 section 10.1.4). */
export function acceptsTrailers (te: string): boolean {
  return te.toLowerCase().split(',').some((part) => part.split(';', 1)[0]?.trim() === 'trailers')
}

/** The names of a Trailer field that may be passed on, in lower case. */
export function declaredTrailers (value: string | undefined): readonly string[] {
  if (value === undefined) return []
  return value.split(',').map((name) => name.trim().toLowerCase()).filter(mayTrail)
}

/** The lines of trailers that were declared: pairs of name and value. */
export function trailersAmong (
  raw: ReadonlyArray<string | Buffer>,
  declared: readonly string[]
): Array<[string, string]> {
  const kept: Array<[string, string]> = []
  for (let index = 0; index + 1 < raw.length; index += 2) {
    const [name, value] = [String(raw[index]), raw[index + 1] ?? '']
    if (declared.includes(name.toLowerCase())) {
      kept.push([name, typeof value === 'string' ? value : value.toString('latin1')])
    }
  }
  return kept
}
