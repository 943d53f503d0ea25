/**
 * How an operation ended, as far as its caller knows. An `unknown` operation may take effect at any time after its
 * call, or never.
 */
export type Outcome<Output> =
  | { readonly kind: 'returned', readonly output: Output, readonly returnedAt: number }
  | { readonly kind: 'unknown' }

/**
 * One call of a client. Times are of one monotonic clock, in any unit; operations that only touch in time count as
 * concurrent. Inputs and outputs are JSON-like values: they are printed, and inputs compared, by their JSON text.
 */
export interface Operation<Input, Output> {
  /** Who called. Only printed: a process may have several calls under way. */
  readonly process: string | number
  readonly input: Input
  readonly calledAt: number
  readonly outcome: Outcome<Output>
}

/** What clients saw, in any order. */
export type History<Input, Output> = ReadonlyArray<Operation<Input, Output>>

/** An operation whose outcome is known. */
export interface ReturnedOperation<Input, Output> extends Operation<Input, Output> {
  readonly outcome: Extract<Outcome<Output>, { kind: 'returned' }>
}

export function hasReturned<Input, Output> (
  operation: Operation<Input, Output>
): operation is ReturnedOperation<Input, Output> {
  return operation.outcome.kind === 'returned'
}

/** Throws a RangeError for an operation that cannot have happened: it would make any verdict worthless. */
export function assertPossible<Input, Output> (history: History<Input, Output>): void {
  for (const { process, calledAt, outcome } of history) {
    if (!Number.isFinite(calledAt)) throw new RangeError(`a call of ${process} has no time: ${calledAt}`)
    if (outcome.kind === 'returned' && !(outcome.returnedAt >= calledAt && Number.isFinite(outcome.returnedAt))) {
      throw new RangeError(`a call of ${process} at ${calledAt} returned at ${outcome.returnedAt}`)
    }
  }
}
