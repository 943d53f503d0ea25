/** What counts: each kind has names of its own. */
export type TallyKind = 'counter' | 'latch' | 'barrier'

/** Adds to a number. */
interface TallyAddCommand {
  readonly kind: 'tally-add'
  readonly tally: TallyKind
  readonly name: string
  /** A whole number, negative ones included. */
  readonly by: number
}

/** Forgets a number. */
interface TallyRemoveCommand {
  readonly kind: 'tally-remove'
  readonly tally: TallyKind
  readonly name: string
}

/** Takes from a bucket that fills up by log time. */
export interface BucketTakeCommand {
  readonly kind: 'bucket-take'
  readonly name: string
  readonly takes: number
  /** What a full bucket has. */
  readonly capacity: number
  /** How long it takes to fill one up that is empty, in milliseconds of log time. */
  readonly fillMs: number
}

/** A command on numbers and buckets. */
export type TallyCommand = TallyAddCommand | TallyRemoveCommand | BucketTakeCommand

/** The number after the command; `existed`: it was there before. */
interface TalliedAnswer {
  readonly kind: 'tallied'
  readonly value: number
  readonly existed: boolean
}

/** What was taken of the bucket, or when there is enough for it. */
interface BucketAnswer {
  readonly kind: 'bucket'
  readonly isTaken: boolean
  /** Whole permits that are left. */
  readonly remaining: number
  /** Milliseconds of log time until so much can be taken; 0 when it was. */
  readonly retryAfterMs: number
}

/** What commands on numbers and buckets are answered. */
export type TallyResult = TalliedAnswer | BucketAnswer
