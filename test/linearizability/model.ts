import type { Outcome } from './history.ts'

/**
 * The sequential behaviour that a concurrent object promises. States are values: `step` never changes one.
 *
 * A history is linearizable exactly when its part for each partition is (Herlihy and Wing, 1990, theorem 1), so the
 * more partitions, the less work.
 */
export interface Model<State, Input, Output> {
  /** Name of the independent object that the operation touches. */
  partition: (input: Input) => string
  /** State of each object before the first operation. */
  initial: () => State
  /**
   * The states in which the operation may leave the object, given what its caller saw. An empty list when the caller
   * cannot have seen that in this state. Where the outcome is unknown, every state that the operation may lead to.
   */
  step: (state: State, input: Input, outcome: Outcome<Output>) => readonly State[]
  /**
   * Whether an operation with this answer never changes the object, in whatever state it comes, but only tells about
   * it: a read, or a refusal.
   */
  isObservation: (input: Input, output: Output) => boolean
  /** A text that is the same for two states exactly when no later operation can tell them apart. */
  identify: (state: State) => string
}
