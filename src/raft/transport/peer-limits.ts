/** What a node takes from its peers, and from others who call its peer routes. */
export const peerLimits = {
  /** Size of the body of each route, in bytes. A hello names a cluster and two nodes. */
  maxHelloBytes: 2_048,
  /** Some thousand votes, heartbeats and reads. */
  maxControlBytes: 262_144,
  maxUrlsBytes: 262_144,
  /** A batch has at most 4 MiB, or one entry more than that. */
  maxAppendBytes: 8_388_608,
  maxProposeBytes: 8_388_608,
  maxNotesBytes: 8_388_608,
  /** The largest record of a snapshot, which travels whole, and the configuration beside it. */
  maxSnapshotBytes: 20_971_520,
  /** Messages in one body. */
  maxMessages: 4_096,
  /** Entries of all messages in one body: each becomes an object that is larger than the bytes it may take. */
  maxEntries: 262_144,
  /** Commands in one body, for the same reason. */
  maxCommands: 262_144,
  /** Members that one body names. */
  maxMembers: 1_024,
  /** Length of the id of a cluster, a node or a log, in characters: this node remembers senders. */
  maxIdLength: 1_024,
  /** Length of the URL of a member, in characters. */
  maxUrlLength: 2_048,
  /** Bodies of one sender in memory at once, from before the first byte is read until the answer is known. */
  maxBytesOfSender: 33_554_432,
  /** Those of all senders. */
  maxBytesOfAll: 134_217_728,
  /** What a request counts at least: it is more than its body. */
  leastBytes: 4_096,
  /** How long a body may take, in milliseconds; up to twice as long before it is noticed. */
  bodyTimeoutMs: 10_000
} as const

/** Bounds of {@link IncomingBodies}; {@link peerLimits} except in tests. */
export type BodyLimits = Readonly<
  Record<'maxBytesOfSender' | 'maxBytesOfAll' | 'leastBytes' | 'bodyTimeoutMs', number>
>
