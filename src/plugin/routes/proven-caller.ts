import type { IncomingMessage } from 'node:http'
import { RequestNotes } from './request-notes.ts'

/** Who made a call, where that is proven: by the secret of the cluster, or by the certificate of the connection. */
export type ProvenCaller =
  | { readonly kind: 'member', readonly id: string }
  | { readonly kind: 'gateway', readonly name: string }

const callers = new RequestNotes<ProvenCaller>('caller')

/** Remembers who has proven to have made this request. Not for requests that were forwarded: a client made those. */
export function noteCaller (req: IncomingMessage, caller: ProvenCaller): void {
  callers.set(req, caller)
}

/** Who has proven to have made this request; null for everybody else, and for clients whose request was forwarded. */
export function provenCallerOf (req: IncomingMessage): ProvenCaller | null {
  return callers.of(req) ?? null
}
