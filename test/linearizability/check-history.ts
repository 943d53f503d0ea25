import type { History, Operation, ReturnedOperation } from './history.ts'
import { assertPossible, hasReturned } from './history.ts'
import type { Model } from './model.ts'
import type { Configuration, SearchResult } from './search.ts'
import { search } from './search.ts'
import { upTo } from './timeline.ts'

/** Bounds of a check. */
export interface CheckOptions {
  /**
   * How many configurations a search may visit before it gives up; 1,000,000 unless told. There are a few searches in
   * each partition.
   */
  readonly maxConfigurations?: number
}

/** One operation taking effect, and the state it leads to. */
export interface LinearizedOperation<State, Input, Output> {
  readonly operation: Operation<Input, Output>
  readonly state: State
}

/** The answer about a history. */
export type Verdict<State, Input, Output> =
  LinearizableVerdict | ViolationVerdict<State, Input, Output> | UndecidedVerdict

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
    const finding = examine(model, operations, maxConfigurations)
    visited += finding.visited
    if (finding.broken !== null) {
      const { visited: spent, ...explanation } = explain(model, operations, finding.broken, maxConfigurations)
      return { verdict: 'violation', visited: visited + spent, partition, ...explanation }
    }
    if (!finding.isDecided) undecided.push(partition)
  }
  return undecided.length > 0
    ? { verdict: 'undecided', visited, partitions: undecided }
    : { verdict: 'linearizable', visited }
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

/** A beginning of a history for which there is no order. */
interface Broken<State, Input, Output> {
  readonly history: History<Input, Output>
  readonly result: SearchResult<State, Input, Output>
  /** How many operations have returned in it. */
  readonly returns: number
  /** With so many returns there still was an order. */
  readonly returnsExplained: number
}

interface Finding<State, Input, Output> {
  readonly visited: number
  readonly isDecided: boolean
  readonly broken: Broken<State, Input, Output> | null
}

const firstStretch = 16

/**
 * Searches ever longer beginnings, then the whole: every beginning of a linearizable history is linearizable, and an
 * early violation is found before what comes later can exhaust the bound.
 */
function examine<State, Input, Output> (
  model: Model<State, Input, Output>, operations: History<Input, Output>, maxConfigurations: number
): Finding<State, Input, Output> {
  const byReturn = sortedByReturn(operations)
  let visited = 0
  let returnsExplained = 0
  for (let returns = firstStretch; returns < byReturn.length; returns *= 4) {
    const history = upTo(operations, byReturn[returns - 1]?.outcome.returnedAt ?? Infinity)
    const result = search(model, history, maxConfigurations)
    visited += result.visited
    if (result.kind === 'none') {
      return { visited, isDecided: true, broken: { history, result, returns, returnsExplained } }
    }
    if (result.kind === 'gave-up') break
    returnsExplained = returns
  }
  const result = search(model, operations, maxConfigurations)
  visited += result.visited
  const broken =
    result.kind === 'none' ? { history: operations, result, returns: byReturn.length, returnsExplained } : null
  return { visited, isDecided: result.kind !== 'gave-up', broken }
}

function sortedByReturn <Input, Output> (history: History<Input, Output>): Array<ReturnedOperation<Input, Output>> {
  return history.filter(hasReturned).sort((left, right) => left.outcome.returnedAt - right.outcome.returnedAt)
}

/** Cuts a history without an order down to the return that made it impossible. */
function explain<State, Input, Output> (
  model: Model<State, Input, Output>,
  operations: History<Input, Output>,
  broken: Broken<State, Input, Output>,
  maxConfigurations: number
): Omit<ViolationVerdict<State, Input, Output>, 'verdict' | 'partition'> {
  const byReturn = sortedByReturn(operations)
  let shortest: Pick<Broken<State, Input, Output>, 'history' | 'result'> = broken
  let visited = 0
  let low = broken.returnsExplained
  let high = broken.returns - 1
  while (low < high) {
    const middle = (low + high) >>> 1
    const history = upTo(operations, byReturn[middle]?.outcome.returnedAt ?? Infinity)
    const result = search(model, history, maxConfigurations - visited)
    visited += result.visited
    if (result.kind === 'gave-up') break
    if (result.kind === 'none') {
      shortest = { history, result }
      high = middle
    } else {
      low = middle + 1
    }
  }
  const culprit = byReturn[high]
  if (culprit === undefined) throw new Error('a history without answers is always linearizable')
  const longestPrefix = pathTo(shortest.result.furthest)
  const explained = new Set(longestPrefix.map(({ operation }) => operation))
  const unexplained = shortest.history
    .filter(hasReturned)
    .filter((operation) => !explained.has(operation))
    .sort((left, right) => left.calledAt - right.calledAt)
  return { visited, history: shortest.history, culprit, longestPrefix, unexplained }
}

function pathTo<State, Input, Output> (
  configuration: Configuration<State, Input, Output>
): Array<LinearizedOperation<State, Input, Output>> {
  const path: Array<LinearizedOperation<State, Input, Output>> = []
  for (let at = configuration; at.last !== null; at = at.last.before) {
    path.push({ operation: at.last.operation, state: at.state })
  }
  return path.reverse()
}
