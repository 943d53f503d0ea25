import type { ViolationVerdict } from './check-history.ts'
import type { Operation } from './history.ts'
import type { Model } from './model.ts'

/** Prints a violation for a person to follow; of a long order only the end. */
export function describeViolation<State, Input, Output> (
  model: Model<State, Input, Output>, violation: ViolationVerdict<State, Input, Output>, maxLines = 15
): string {
  const { partition, culprit, longestPrefix, unexplained } = violation
  const left = Math.max(0, longestPrefix.length - maxLines)
  const state = longestPrefix.at(-1)?.state ?? model.initial()
  return [
    `not linearizable in ${JSON.stringify(partition)}: no order explains the answer of`,
    `  ${describeOperation(culprit)}`,
    `the furthest order, ${longestPrefix.length} operations${left > 0 ? `, without the first ${left}` : ''}:`,
    ...longestPrefix
      .slice(left)
      .map((step) => `  ${describeOperation(step.operation)}  now ${model.identify(step.state)}`),
    `in state ${model.identify(state)} it leaves unexplained:`,
    ...unexplained.slice(0, maxLines).map((operation) => `  ${describeOperation(operation)}`),
    ...(unexplained.length > maxLines ? [`  and ${unexplained.length - maxLines} more`] : [])
  ].join('\n')
}

/** One line: who asked what, what came back, and when. */
export function describeOperation<Input, Output> ({
  process,
  input,
  calledAt,
  outcome
}: Operation<Input, Output>): string {
  const asked = `${process}: ${JSON.stringify(input)}`
  switch (outcome.kind) {
    case 'returned':
      return `${asked} gave ${JSON.stringify(outcome.output)} (${calledAt} to ${outcome.returnedAt})`
    case 'unknown':
      return `${asked} gave no answer (${calledAt} on)`
  }
}
