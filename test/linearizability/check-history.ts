import { assertPossible, hasReturned } from './history.ts'
import type { History, Operation, ReturnedOperation } from './history.ts'
import type { Model } from './model.ts'
import { search } from './search.ts'
import type { Configuration, SearchResult } from './search.ts'
import { upTo } from './timeline.ts'

/** Bounds of a check. */
export interface CheckOptions {
  /**
   * How many configurations to visit in each partition before the check gives up, and as many again to find the
   * shortest counter-example; 1,000,000 unless told.
   */
  readonly maxConfigurations?: number
}

/** One operation taking effect, and the state it leads to. */
export interface LinearizedOperation<State, Input, Output> {
  readonly operation: Operation<Input, Output>
  readonly state: State
}

/** The answer about a history. */
export type Verdict<State, Input, Output> = LinearizableVerdict | ViolationVerdict<State, Input, Output> | UndecidedVerdict

/** There is an order that explains every answer. */
export interface LinearizableVerdict {
  readonly verdict: 'linearizable'
  /** Configurations visited in all partitions. */
  readonly visited: number
}

/** No order explains every answer in one of the partitions. */
export interface ViolationVerdict<State, Input, Output> {
  readonly verdict: 'violation'
  readonly visited: number
  readonly partition: string
  /**
   * A beginning of the partition's history for which there is no order: the shortest, unless the bound was reached.
   * Calls made later are left out, and those that returned later are without an answer.
   */
  readonly history: History<Input, Output>
  /** The last operation to return in `history`: in the shortest, the one whose answer made it impossible. */
  readonly culprit: ReturnedOperation<Input, Output>
  /** An order that explains the most answers of `history`, each with the state after it. */
  readonly longestPrefix: ReadonlyArray<LinearizedOperation<State, Input, Output>>
  /** The operations of `history` with an answer that `longestPrefix` does not explain, by call time. */
  readonly unexplained: ReadonlyArray<ReturnedOperation<Input, Output>>
}

/** The bound was reached before either answer was found, in the partitions named; no violation in the others. */
export interface UndecidedVerdict {
  readonly verdict: 'undecided'
  readonly visited: number
  readonly partitions: readonly string[]
}

const defaultMaxConfigurations = 1_000_000

/**
 * Says whether a history is linearizable. Deterministic: the same history gives the same answer.
 *
 * Throws a RangeError for a history that cannot have been recorded.
 */
export function checkHistory<State, Input, Output> (
  model: Model<State, Input, Output>, history: History<Input, Output>, options: CheckOptions = {}
): Verdict<State, Input, Output> {
  assertPossible(history)
  const { maxConfigurations = defaultMaxConfigurations } = options
  const undecided: string[] = []
  let visited = 0
  for (const [partition, operations] of partitioned(model, history)) {
    const result = search(model, operations, maxConfigurations)
    visited += result.visited
    if (result.kind === 'none') return explain(model, { partition, operations, result, visited, maxConfigurations })
    if (result.kind === 'gave-up') undecided.push(partition)
  }
  return undecided.length > 0 ? { verdict: 'undecided', visited, partitions: undecided } : { verdict: 'linearizable', visited }
}

function partitioned<State, Input, Output> (
  model: Model<State, Input, Output>, history: History<Input, Output>
): Map<string, Array<Operation<Input, Output>>> {
  const partitions = new Map<string, Array<Operation<Input, Output>>>()
  for (const operation of history) {
    const name = model.partition(operation.input)
    const known = partitions.get(name)
    if (known === undefined) partitions.set(name, [operation])
    else known.push(operation)
  }
  return partitions
}

interface Finding<State, Input, Output> {
  readonly partition: string
  readonly operations: History<Input, Output>
  readonly result: SearchResult<State, Input, Output>
  readonly visited: number
  readonly maxConfigurations: number
}

/** Cuts a history without an order down to the return that made it impossible. */
function explain<State, Input, Output> (
  model: Model<State, Input, Output>, finding: Finding<State, Input, Output>
): ViolationVerdict<State, Input, Output> {
  const { partition, operations, result, maxConfigurations } = finding
  const byReturn = operations.filter(hasReturned).sort((left, right) => left.outcome.returnedAt - right.outcome.returnedAt)
  let shortest = { history: operations, result }
  let spent = 0
  // Every beginning of a linearizable history is linearizable: bisection finds the first return that breaks it.
  let low = 0
  let high = byReturn.length - 1
  while (low < high) {
    const middle = (low + high) >>> 1
    const history = upTo(operations, byReturn[middle]?.outcome.returnedAt ?? Infinity)
    const attempt = search(model, history, maxConfigurations - spent)
    spent += attempt.visited
    if (attempt.kind === 'gave-up') break
    if (attempt.kind === 'none') {
      shortest = { history, result: attempt }
      high = middle
    } else {
      low = middle + 1
    }
  }
  const culprit = byReturn[high]
  if (culprit === undefined) throw new Error('a history without answers is always linearizable')
  const longestPrefix = pathTo(shortest.result.furthest)
  const explained = new Set(longestPrefix.map(({ operation }) => operation))
  const unexplained = shortest.history.filter(hasReturned).filter((operation) => !explained.has(operation))
    .sort((left, right) => left.calledAt - right.calledAt)
  return { verdict: 'violation', visited: finding.visited + spent, partition, history: shortest.history, culprit, longestPrefix, unexplained }
}

function pathTo<State, Input, Output> (configuration: Configuration<State, Input, Output>): Array<LinearizedOperation<State, Input, Output>> {
  const path: Array<LinearizedOperation<State, Input, Output>> = []
  for (let at = configuration; at.last !== null; at = at.last.before) path.push({ operation: at.last.operation, state: at.state })
  return path.reverse()
}
