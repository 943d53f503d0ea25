import { FencedError } from '../../raft/index.ts'

/** A fencing token as callers see it: a decimal string, because JSON readers may round large numbers. */
export function formatToken (token: number): string {
  return String(token)
}

/** Reads a fencing token. What is not a token can never be valid: throws `RAFT_FENCED`. */
export function parseToken (token: string): number {
  const index = /^[1-9][0-9]{0,15}$/.test(token) ? Number(token) : NaN
  if (!Number.isSafeInteger(index)) throw new FencedError(token)
  return index
}
