import type { Outcome } from '../history.ts'
import type { Model } from '../model.ts'

export type LockInput =
  /** `request` is a text of its own for each attempt: attempts are told apart by it before a token is known. */
  | { readonly kind: 'acquire', readonly lock: string, readonly request: string }
  | { readonly kind: 'renew', readonly lock: string, readonly token: number }
  | { readonly kind: 'release', readonly lock: string, readonly token: number }
  /**
   * The lock of that request ends: its time to live ran out, or its caller gave it up without knowing the answer. No
   * caller sees that happen, so it is recorded as an operation without an answer, called at the earliest moment at
   * which it may happen.
   */
  | { readonly kind: 'expire', readonly lock: string, readonly request: string }

export type LockOutput =
  | { readonly kind: 'granted', readonly token: number }
  /** The lock is held, with this token if the caller was told. */
  | { readonly kind: 'held', readonly token?: number }
  | { readonly kind: 'renewed' }
  | { readonly kind: 'released' }
  /** The token is not the holder's. */
  | { readonly kind: 'stale' }

/**
 * One lock. Fencing tokens are whole and positive, and only rise. The token of a grant whose caller got no answer is
 * unknown until a caller sees it.
 */
export interface LockState {
  readonly holder: { readonly request: string, readonly token: number | null } | null
  /** Every token to come is at least this, and so is an unknown one. */
  readonly nextToken: number
}

/** The state in which the lock is held with this token; nothing when it cannot be. */
function whereHeldWith (state: LockState, token: number): LockState[] {
  const { holder, nextToken } = state
  if (holder === null) return []
  if (holder.token !== null) return holder.token === token ? [state] : []
  return token >= nextToken ? [{ holder: { ...holder, token }, nextToken: token + 1 }] : []
}

function freed ({ nextToken }: LockState): LockState {
  return { holder: null, nextToken }
}

// An unknown token leaves the bound where it is: raised, it would tell apart states that differ in nothing else.
function grant ({ nextToken }: LockState, request: string, token: number | null): LockState {
  return { holder: { request, token }, nextToken: token === null ? nextToken : token + 1 }
}

function acquire (state: LockState, request: string, output: LockOutput | null): readonly LockState[] {
  if (output === null) return state.holder === null ? [grant(state, request, null)] : []
  switch (output.kind) {
    case 'granted':
      return state.holder === null && output.token >= state.nextToken ? [grant(state, request, output.token)] : []
    case 'held': {
      if (state.holder === null) return []
      return output.token === undefined ? [state] : whereHeldWith(state, output.token)
    }
    case 'renewed':
    case 'released':
    case 'stale':
      return []
  }
}

/** A token unknown until now may always be another one than that of a stale call. */
function whereStale (state: LockState, token: number): LockState[] {
  return state.holder?.token === token ? [] : [state]
}

function step (state: LockState, input: LockInput, outcome: Outcome<LockOutput>): readonly LockState[] {
  const output = outcome.kind === 'returned' ? outcome.output : null
  switch (input.kind) {
    case 'acquire': return acquire(state, input.request, output)
    case 'renew': {
      if (output === null) return [state]
      if (output.kind === 'stale') return whereStale(state, input.token)
      return output.kind === 'renewed' ? whereHeldWith(state, input.token) : []
    }
    case 'release': {
      if (output?.kind === 'stale') return whereStale(state, input.token)
      return output === null || output.kind === 'released' ? whereHeldWith(state, input.token).map(freed) : []
    }
    case 'expire': return output === null && state.holder?.request === input.request ? [freed(state)] : []
  }
}

/** Locks with fencing tokens: at most one holder, each with a higher token than all before it. */
export const lockModel: Model<LockState, LockInput, LockOutput> = {
  partition: ({ lock }) => lock,
  initial: () => ({ holder: null, nextToken: 1 }),
  step,
  isObservation: (_input, { kind }) => kind === 'held' || kind === 'renewed' || kind === 'stale',
  identify: ({ holder, nextToken }) => JSON.stringify([holder?.request ?? null, holder?.token ?? null, nextToken])
}
