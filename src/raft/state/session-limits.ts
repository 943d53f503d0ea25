/**
 * Limits on client sessions. Part of the replicated state and therefore constants: every node has to forget the same at
 * the same entry.
 */
export const sessionLimits = {
  /** Sessions that the cluster remembers; the one unused for longest makes room. */
  maxSessions: 1_000,
  /** How far the sequence of a command may be ahead of the lowest one its client still waits for. */
  maxWindow: 262_144,
  /** Commands of all sessions that may still be sent again; past that the session unused for longest ends. */
  maxAnswers: 1_048_576,
  /** All answers that are kept, in bytes; those of the session unused for longest go first. */
  maxAnswerBytes: 67_108_864,
  /** An answer larger than this is not kept. */
  maxAnswerBytesEach: 1_048_576,
  /** Shortest and longest time to live that a session may be opened with, in milliseconds of log time. */
  minTtlMs: 10_000,
  maxTtlMs: 86_400_000
} as const

/** Bounds of a session table; {@link sessionLimits} except in tests. */
export type SessionLimits = { readonly [Limit in keyof typeof sessionLimits]: number }
