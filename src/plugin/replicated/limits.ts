/**
 * Limits of the replicated state. Constants and not options: every node has to judge a command alike, and the options
 * of nodes differ.
 */
export const limits = {
  /** Length of a map name in characters. */
  maxMapNameLength: 200,
  /** Length of the name of a state machine in characters. */
  maxMachineNameLength: 100,
  /** Number of state machines of an application. */
  maxMachines: 100,
  /** Length of the answer of a state machine that is remembered with an idempotency key, in characters of JSON. */
  maxRememberedAnswerLength: 4_096,
  /** Length of a lock name in characters. */
  maxLockNameLength: 200,
  /** Length of a lock owner in characters. */
  maxOwnerLength: 200,
  /** Length of a lock request id in characters. */
  maxRequestIdLength: 200,
  /** Length of the topic of a broadcast in characters. */
  maxTopicLength: 200,
  /** Size of a message that is broadcast, in bytes of its JSON text. */
  maxBroadcastBytes: 65_536,
  /** Topics of durable broadcasts of which it is known where their last message stands; the oldest goes first. */
  maxTopics: 10_000,
  /** Length of an idempotency key in characters. */
  maxIdempotencyKeyLength: 200,
  /** Length of the hash of what a request asks for, in characters. */
  maxFingerprintLength: 64,
  /** Size of the answer to a request that may be remembered with its key, in bytes of fields and body. */
  maxRequestAnswerBytes: 524_288,
  /** Size of a key, in bytes of UTF-8. */
  maxKeyBytes: 512,
  /** Size of a value, in bytes of its JSON text. */
  maxValueBytes: 1_048_576,
  /** Number of comparisons of a transaction, and of writes of each of its branches. */
  maxTransactionSteps: 128,
  /** How deep a value may nest. A deeper one could overflow the stack of the code that writes it as JSON. */
  maxValueDepth: 128,
  /** How deep the state or an answer of a state machine may nest, for the same reason. */
  maxStateDepth: 1_000,
  /** Size of an encoded command in bytes: a value, and room for everything around it. */
  maxCommandBytes: 1_048_576 + 16_384,
  /** Number of maps that hold keys: each takes memory beside its keys. */
  maxMaps: 100_000,
  /** Number of keys in all maps together. */
  maxKeys: 1_000_000,
  /** Size of all keys and values together, in bytes. */
  maxTotalBytes: 268_435_456,
  /** Number of keys that have a time to live or belong to a session. */
  maxExpiringKeys: 100_000,
  /** Number of keys of one session: they end at one entry. */
  maxKeysOfSession: 10_000,
  /** Shortest and longest time to live of a key, in milliseconds of log time. */
  minKeyTtlMs: 100,
  maxKeyTtlMs: 604_800_000,
  /** Number of keys whose time is over that one entry ends. */
  maxKeysExpiredAtOnce: 128,
  /** Number of locks held at once. */
  maxLocksHeld: 10_000,
  /** Number of those who wait for locks, all locks together. */
  maxLockWaiters: 20_000,
  /** Number of permits of a semaphore, and of readers of one lock. */
  maxPermits: 1_000_000,
  /** How long somebody who has waited for a lock with a time to live may take to confirm it, in milliseconds. */
  lockOfferMs: 5_000,
  /** Number of counters, latches and barriers, and of rate limiters that are not full. */
  maxTallies: 100_000,
  /** Longest time in which a rate limiter fills up, in milliseconds of log time. */
  maxFillMs: 604_800_000,
  /** Number of sessions that own things. */
  maxOwnerSessions: 10_000,
  /** Shortest and longest time to live of such a session after a beat, in milliseconds. */
  minSessionTtlMs: 1_000,
  maxSessionTtlMs: 3_600_000,
  /** Shortest time to live of a lock, in milliseconds. */
  minLockTtlMs: 100,
  /** Longest time to live of a lock, in milliseconds. */
  maxLockTtlMs: 3_600_000,
  /** Length of the name of a task in characters. */
  maxTaskNameLength: 200,
  /** Number of tasks that run at once. */
  maxTaskRuns: 10_000,
  /** Number of tasks that are spread over the nodes. */
  maxPlacedTasks: 1_000,
  /** Number of workers of one task. */
  maxWorkers: 256,
  /** Number of processes that can run one of them. */
  maxCandidates: 100,
  /** Pieces of work that are remembered because they are done once. */
  maxOnceWorks: 10_000,
  /** Length of the version of such work in characters. */
  maxOnceVersionLength: 100,
  /** Size of what such work returns, in bytes of its JSON text. */
  maxOnceResultBytes: 4_096,
  /** Length of the message of a failure that the next attempt is shown, in characters. */
  maxOnceErrorLength: 1_000,
  /** Shortest and longest time for which an idempotency key may be remembered, in milliseconds of log time. */
  minHorizonMs: 1_000,
  maxHorizonMs: 604_800_000,
  /** Number of requests for locks remembered whose grant is over; the oldest goes first. */
  maxLockRequests: 10_000,
  /** How long such a request is remembered, in milliseconds of log time. */
  lockRequestWindowMs: 3_600_000,
  /** Number of schedules. */
  maxSchedules: 5_000,
  /** Length of the name of a schedule in characters: it has a place in paths, which routers cut at that. */
  maxScheduleNameLength: 100,
  /** Length of a cron expression in characters. */
  maxCronLength: 200,
  /** Length of the name of a time zone in characters. */
  maxTimeZoneLength: 100,
  /** Runs of one schedule in progress at once. */
  maxScheduleRuns: 100,
  /** Runs of one schedule that wait; those that were lost in progress come on top. */
  maxScheduleQueue: 1_000,
  /** Runs of one schedule that are over and remembered. */
  maxScheduleHistory: 20,
  /** Length of the text of the error of a run in characters. */
  maxRunErrorLength: 300,
  /** Length of the reason of a pause in characters. */
  maxPauseReasonLength: 200,
  /** Latest instant of a slot, in milliseconds since the epoch: the end of the year 9999. */
  maxInstantMs: 253_402_300_799_999,
  /** Bounds of the durations of a schedule in milliseconds: a year, an hour, an hour. */
  maxCatchUpWindowMs: 31_622_400_000,
  maxJitterMs: 3_600_000,
  maxStopGraceMs: 3_600_000
} as const

/** What a node asks for its idempotency keys unless its options say otherwise. Travels with each command. */
export const idempotencyDefaults = {
  horizonMs: 600_000,
  /** Some 600,000 keys: 1,000 new ones a second for the whole horizon. */
  maxBytes: 268_435_456
} as const

/** How the answers of a route are remembered unless its mark says otherwise. */
export const routeIdempotencyDefaults = {
  keptAnswerBytes: 65_536,
  /** A handler that outlives its leadership has mostly ended by then. */
  graceMs: 5_000
} as const
