import type { History, Operation } from '../history.ts'
import { hasReturned } from '../history.ts'
import type { Model } from '../model.ts'

/**
 * Tries every order of a history of a few operations, with every choice among those without an answer, over all
 * partitions at once: the definition of linearizability and nothing else.
 */
export function isLinearizableByBruteForce<State, Input, Output> (
  model: Model<State, Input, Output>,
  history: History<Input, Output>
): boolean {
  return tryNext(model, history, new Map())
}

function tryNext<State, Input, Output> (
  model: Model<State, Input, Output>, left: History<Input, Output>, states: ReadonlyMap<string, State>
): boolean {
  if (!left.some(hasReturned)) return true
  return left.some((operation) => {
    if (left.some((other) => precedes(other, operation))) return false
    const rest = left.filter((other) => other !== operation)
    const partition = model.partition(operation.input)
    return model.step(states.get(partition) ?? model.initial(), operation.input, operation.outcome)
      .some((state) => tryNext(model, rest, new Map([...states, [partition, state]])))
  })
}

function precedes (left: Operation<unknown, unknown>, right: Operation<unknown, unknown>): boolean {
  return left.outcome.kind === 'returned' && left.outcome.returnedAt < right.calledAt
}
