import type { Operation } from '../history.ts'

/** An operation with an answer, between two moments. */
export function returned<Input, Output> (
  calledAt: number, returnedAt: number, input: Input, output: Output, process = 'p'
): Operation<Input, Output> {
  return { process, input, calledAt, outcome: { kind: 'returned', output, returnedAt } }
}

/** An operation without an answer. */
export function unanswered<Input, Output> (calledAt: number, input: Input, process = 'p'): Operation<Input, Output> {
  return { process, input, calledAt, outcome: { kind: 'unknown' } }
}
