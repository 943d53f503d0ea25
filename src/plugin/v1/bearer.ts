/** What a request shows in its field `authorization`. */
type ShownToken =
  /** Nothing, or credentials of another scheme. */
  | { readonly kind: 'none' }
  /** The field came more than once: which of them counts, nobody knows. */
  | { readonly kind: 'repeated' }
  | { readonly kind: 'token', readonly text: string }

const authorization = 'authorization'
/** RFC 6750 section 2.1; the scheme in any case (RFC 9110 section 11.1). */
const credentials = /^bearer +([\w.~+/-]+=*)[ \t]*$/i
const scheme = /^bearer(?:[ \t]|$)/i

const none: ShownToken = { kind: 'none' }
const repeated: ShownToken = { kind: 'repeated' }

/**
 * The bearer token of a request. In no other place than the field: a query string stands in logs (RFC 6750
 * section 5.3).
 *
 * `rawHeaders`: names and values in turn, as Node gives them. Its object of fields keeps the first of two.
 */
export function shownToken (rawHeaders: readonly string[]): ShownToken {
  let value: string | undefined
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = rawHeaders[index]
    if (name?.length !== authorization.length || name.toLowerCase() !== authorization) continue
    if (value !== undefined) return repeated
    value = rawHeaders[index + 1]
  }
  if (value === undefined || !scheme.test(value)) return none
  // A malformed one is unknown (RFC 6750 section 3.1): no token is empty.
  return { kind: 'token', text: credentials.exec(value)?.[1] ?? '' }
}
