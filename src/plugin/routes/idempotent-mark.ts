import type { FastifyRequest, RouteOptions } from 'fastify'
import type { Fault } from '../../gateway/internal.ts'
import { isSafeMethod, readBySchema } from '../../gateway/internal.ts'
import { InvalidOptionsError } from '../../raft/index.ts'
import type { RouteIdempotencyValues } from '../options/options-schema.ts'
import { routeIdempotencySchema } from '../options/options-schema.ts'
import type { KeyedRules } from '../primitives/keyed-requests.ts'
import type { KeepingRules } from './kept-answer.ts'

/** How requests of a route that carry the same Idempotency-Key are executed once. */
export interface RouteIdempotencyOptions extends RouteIdempotencyValues {
  /**
   * Whose key it is: the id of the user or account that your hooks have authenticated. Equal keys of two callers never
   * meet then. Left out, all keys of the application are in one space, and a key that comes again with other
   * credentials (Authorization or Cookie) is refused with 422.
   */
  readonly caller?: ((request: FastifyRequest) => string) | undefined
}

/** The mark of a route, read. */
export interface IdempotencyRules extends KeyedRules, KeepingRules {
  /** Whether a request without a key is refused. */
  readonly required: boolean
  readonly caller: ((request: FastifyRequest) => string) | null
  /** The route as people know it, for messages. */
  readonly route: string
}

/** Fields that belong to a connection or a message, and cannot be given again with another one. */
const neverKept = new Set([
  'connection', 'content-length', 'date', 'keep-alive', 'trailer', 'transfer-encoding', 'upgrade'
])

/** Refuses a mark of a wrong form. Throws `RAFT_INVALID_OPTIONS` with every fault. */
export function checkIdempotent (idempotent: unknown, where: string): void {
  if (idempotent === undefined || typeof idempotent === 'boolean') return
  readValues(idempotent, where)
}

/** What the mark of a route says; null when it has none. Throws `RAFT_INVALID_OPTIONS`. */
export function readIdempotent (
  own: unknown,
  inherited: unknown,
  { method }: Pick<RouteOptions, 'method'>,
  { route, isOnLeader }: { readonly route: string, readonly isOnLeader: boolean }
): IdempotencyRules | null {
  const hasEffects = [method].flat().some((name) => !isSafeMethod(name))
  checkIdempotent(own, route)
  const idempotent = own === undefined && hasEffects && isOnLeader ? inherited : own
  if (idempotent === undefined || idempotent === false) return null
  if (!isOnLeader) {
    throw new InvalidOptionsError(
      `idempotent of ${route} needs forward: true, or leaderOnly: true: only the leader can tell whether a handler ` +
        'is still at work'
    )
  }
  if (!hasEffects) {
    throw new InvalidOptionsError(`idempotent of ${route} has no effect: requests that change nothing may run twice`)
  }
  const { onUnknown, caller, ttlMs, ...rest } = readValues(idempotent === true ? {} : idempotent, route)
  return { ...rest, route, ttlMs: ttlMs ?? null, mayRepeat: onUnknown === 'retry', caller: caller ?? null }
}

type ReadValues = Required<Omit<RouteIdempotencyValues, 'ttlMs'>> & Pick<RouteIdempotencyOptions, 'ttlMs' | 'caller'>

function readValues (idempotent: unknown, where: string): ReadValues {
  if (typeof idempotent !== 'object' || idempotent === null || Array.isArray(idempotent)) {
    throw new InvalidOptionsError(
      `idempotent of ${where} must be true or false, or an object such as { ttlMs: 86400000 }, got ` +
        JSON.stringify(idempotent)
    )
  }
  // A function is no data: the schema knows nothing of it.
  const { caller, ...values } = idempotent as RouteIdempotencyOptions
  const faults: Fault[] = []
  const read = readBySchema(routeIdempotencySchema, values, 'idempotent', faults) as ReadValues
  if (caller !== undefined && typeof caller !== 'function') {
    faults.push({ path: 'idempotent.caller', message: 'must be a function' })
  }
  const headers = faults.length === 0 ? read.headers.map((name) => name.toLowerCase()) : []
  for (const name of headers) {
    if (neverKept.has(name) || name.startsWith('raft-')) {
      faults.push({ path: 'idempotent.headers', message: `cannot keep ${name}, which is new with each answer` })
    }
  }
  if (faults.length === 0) return { ...read, headers, caller }
  throw new InvalidOptionsError(faults.map(({ path, message }) => `${path} of ${where} ${message}`).join('; '))
}
