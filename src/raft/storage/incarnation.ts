import { randomBytes } from 'node:crypto'

/** Bytes of an incarnation; it is written in twice as many hexadecimal digits. */
export const incarnationBytes = 8

/** The incarnation of a log that is being created: random, so that no two logs of a node share one. */
export function newIncarnation (): string {
  return randomBytes(incarnationBytes).toString('hex')
}
