import type { IncomingMessage } from 'node:http'
import { fieldCount } from './header-rules.ts'

/** Where a request points, or why it points nowhere we could send it. */
type RequestTarget =
  | { readonly kind: 'target', readonly path: string, readonly authority: string | null }
  | { readonly kind: 'invalid', readonly message: string }

/** A target that can be sent on. */
export type SendableTarget = Extract<RequestTarget, { kind: 'target' }>

/** The target of a request that is to be passed on; see {@link splitTarget}. */
export function requestTarget (req: IncomingMessage): RequestTarget {
  if (fieldCount(req.rawHeaders, 'host') > 1) return { kind: 'invalid', message: 'more than one Host field' }
  return splitTarget(req.url ?? '')
}

/**
 * Splits a request's target (RFC 9112 section 3.2). The path is passed on byte for byte; of an absolute form the scheme
 * and authority are taken off, the latter to become Host.
 */
export function splitTarget (target: string): RequestTarget {
  if (target.startsWith('/')) return { kind: 'target', path: target, authority: null }
  const absolute = /^https?:\/\/([^/?#]+)(.*)$/is.exec(target)
  const [, authority, rest] = absolute ?? []
  if (authority === undefined || rest === undefined) {
    return { kind: 'invalid', message: 'the request target is not a path' }
  }
  if (authority.includes('@')) return { kind: 'invalid', message: 'the request target carries user information' }
  return { kind: 'target', path: rest.startsWith('/') ? rest : `/${rest}`, authority }
}
