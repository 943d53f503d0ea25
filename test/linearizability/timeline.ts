import type { History, Operation, ReturnedOperation } from './history.ts'
import { hasReturned } from './history.ts'

/** An operation with an answer. */
export interface ClosedCall<Input, Output> {
  readonly operation: ReturnedOperation<Input, Output>
  readonly calledAt: number
  readonly returnedAt: number
}

/** An operation without an answer. */
export interface OpenCall<Input, Output> {
  readonly operation: Operation<Input, Output>
  readonly calledAt: number
  /**
   * The last operation before it with the very same input, or null. The two are interchangeable, and the earlier one
   * is there first: only when it has taken effect is there any point in taking this one.
   */
  readonly twin: number | null
}

/** The calls of one partition in the order in which they were made. */
export interface Timeline<Input, Output> {
  readonly closed: ReadonlyArray<ClosedCall<Input, Output>>
  readonly open: ReadonlyArray<OpenCall<Input, Output>>
}

/** Sorts a history by call time. */
export function createTimeline<Input, Output> (history: History<Input, Output>): Timeline<Input, Output> {
  const byCall = [...history].sort((left, right) => left.calledAt - right.calledAt)
  const closed = byCall.filter(hasReturned)
    .map((operation) => ({ operation, calledAt: operation.calledAt, returnedAt: operation.outcome.returnedAt }))
  const lastWithInput = new Map<string, number>()
  const open = byCall.filter((operation) => !hasReturned(operation)).map((operation, number) => {
    const input = JSON.stringify(operation.input)
    const twin = lastWithInput.get(input) ?? null
    lastWithInput.set(input, number)
    return { operation, calledAt: operation.calledAt, twin }
  })
  return { closed, open }
}

/**
 * What an observer knew at a moment: calls made later are not there, and those that had not returned yet are open.
 */
export function upTo<Input, Output> (history: History<Input, Output>, time: number): History<Input, Output> {
  return history
    .filter(({ calledAt }) => calledAt <= time)
    .map((operation) => hasReturned(operation) && operation.outcome.returnedAt > time
      ? { ...operation, outcome: { kind: 'unknown' } }
      : operation)
}
