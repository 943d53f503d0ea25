import type { SimRandom } from '../../sim/random.ts'
import type { History, Operation } from '../history.ts'
import { hasReturned } from '../history.ts'

/** Puts another output in place of one operation's. */
export function withOutput<Input, Output> (
  history: History<Input, Output>, target: Operation<Input, Output>, output: Output
): History<Input, Output> {
  return history.map((operation) => operation === target && hasReturned(operation)
    ? { ...operation, outcome: { ...operation.outcome, output } }
    : operation)
}

/** Gives one operation the output of another of its kind, or lets it return too early. */
export function mutate<Input extends { readonly kind: string }, Output> (
  random: SimRandom, history: History<Input, Output>
): History<Input, Output> {
  const returned = history.filter(hasReturned)
  if (returned.length === 0) return history
  const target = random.pick(returned)
  const { calledAt, outcome } = target
  const others = returned.filter((operation) => operation.input.kind === target.input.kind &&
    JSON.stringify(operation.outcome.output) !== JSON.stringify(outcome.output))
  if (others.length > 0) return withOutput(history, target, random.pick(others).outcome.output)
  const early = { ...target, outcome: { ...outcome, returnedAt: random.between(calledAt, outcome.returnedAt) } }
  return history.map((operation) => operation === target ? early : operation)
}
