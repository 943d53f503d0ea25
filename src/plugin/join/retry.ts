/** How long one call may take; a change of membership needs a majority's disks. */
export const callTimeoutMs = 10_000
/** Pause after the first failed attempt; doubled from attempt to attempt. */
export const firstPauseMs = 100

const longestPauseMs = 5_000

/** Refusals that another attempt cannot change. */
const lastingRefusals: ReadonlySet<string> = new Set([
  'RAFT_MISDIRECTED',
  'RAFT_MEMBER_EXISTS',
  'RAFT_UNKNOWN_MEMBER',
  'RAFT_WRONG_INCARNATION',
  'RAFT_OTHER_CLUSTER',
  'RAFT_INVALID_REQUEST',
  'RAFT_UNAUTHORIZED',
  'RAFT_OTHER_SECRET'
])

/** The pause after the next failed attempt. */
export function nextPauseMs (pauseMs: number): number {
  return Math.min(2 * pauseMs, longestPauseMs)
}

/** Whether a refusal with this code is final. */
export function isLasting (code: string): boolean {
  return lastingRefusals.has(code)
}
