/** Rounds of percent-decoding before a target is refused outright. */
const maxDecodeRounds = 8

/**
 * Whether a request target could reach the reserved prefix once a later hop has normalised it. Judged to the
 * safe side: all spellings count (repeated slashes, backslashes, dot segments, percent-encoding in several layers,
 * letter case, `;parameters`, control characters, absolute form), and a target that climbs with `..` is reserved as
 * soon as the prefix appears anywhere in it.
 *
 * @param target the request target as received, in origin or absolute form
 * @param prefix the reserved path, for example `/_cluster`
 */
export function isReservedTarget (target: string, prefix: string): boolean {
  if (isPlain(target) && !target.toLowerCase().includes(lastSegmentOf(prefix))) return false
  const reserved = segmentsOf(prefix)
  let path = pathOf(target)
  for (let round = 0; round < maxDecodeRounds; round++) {
    if (reaches(segmentsOf(path), reserved)) return true
    const decoded = decodeOnce(path)
    if (decoded === path) return false
    path = decoded
  }
  return true
}

/** Whether nothing in a target could hide the name of a segment: no encoding, nothing that readers leave out. */
function isPlain (target: string): boolean {
  // eslint-disable-next-line no-control-regex
  return !/[%\u0000-\u0020\u007f]/.test(target)
}

function lastSegmentOf (prefix: string): string {
  return prefix.slice(prefix.lastIndexOf('/') + 1).toLowerCase()
}

/** The path of a target, its query cut off and the scheme and authority of an absolute form removed. */
function pathOf (target: string): string {
  const withoutQuery = target.split('?', 1)[0] ?? ''
  const absolute = /^[a-z][a-z0-9+.-]*:[/\\]{2}[^/\\]*(.*)$/is.exec(withoutQuery)
  return absolute?.[1] ?? withoutQuery
}

/** Byte by byte, so that a malformed sequence hides nothing behind it. */
function decodeOnce (path: string): string {
  return path.replace(/%([0-9a-f]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
}

function segmentsOf (path: string): string[] {
  return path.toLowerCase().split(/[/\\]/)
    // Routers end a path at `?` and `#`, some at `;`; some ignore blanks and control characters.
    // eslint-disable-next-line no-control-regex
    .map((segment) => segment.replace(/[?#;].*$/s, '').replace(/[\u0000-\u0020\u007f]/g, ''))
    .filter((segment) => segment !== '' && segment !== '.')
}

function reaches (segments: readonly string[], reserved: readonly string[]): boolean {
  const startsAt = (offset: number): boolean => reserved.every((segment, index) => segments[offset + index] === segment)
  if (!segments.includes('..')) return startsAt(0)
  return segments.some((_, offset) => startsAt(offset))
}
