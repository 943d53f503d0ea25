/** Defaults that more than one part needs. */
export const defaults = {
  /** Path prefix of everything that the cluster serves. */
  prefix: '/_cluster',
  /** Seconds in the `retry-after` of every 503, as the field carries them: elections take about one. */
  retryAfterSeconds: '1',
  /** Free bytes in the file system of the log below which a leader refuses what may grow. */
  minFreeBytes: 67_108_864,
  /** How long a session that sends nothing is kept. Milliseconds of log time. */
  sessionTtlMs: 3_600_000,
  /** Longest silence of the leader after which a member campaigns, in milliseconds. */
  electionTimeoutMaxMs: 1_000,
  /** How long a node may take to leave for good when it closes, in longest election timeouts. */
  leaveElectionTimeouts: 3
} as const
