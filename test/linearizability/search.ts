import { Frontier } from './frontier.ts'
import type { History, Operation } from './history.ts'
import { LinearizedSet } from './linearized-set.ts'
import type { Model } from './model.ts'
import type { OpenSet } from './open-set.ts'
import { emptyOpenSet, inOpenSet, isWithin, withOpen } from './open-set.ts'
import type { Timeline } from './timeline.ts'
import { createTimeline } from './timeline.ts'

/** A point of the search: what has taken effect so far, and the state it led to. */
export interface Configuration<State, Input, Output> {
  readonly closed: LinearizedSet
  readonly closedCount: number
  readonly open: OpenSet
  readonly openCount: number
  readonly stateId: number
  readonly state: State
  /** The operation that took effect last, and where the search stood before; null at the start. */
  readonly last: {
    readonly operation: Operation<Input, Output>
    readonly before: Configuration<State, Input, Output>
  } | null
}

/** What the search of one partition found. */
export interface SearchResult<State, Input, Output> {
  readonly kind: 'found' | 'none' | 'gave-up'
  readonly visited: number
  /** The configuration with the most answers explained. */
  readonly furthest: Configuration<State, Input, Output>
}

/**
 * Looks for an order in which the operations of one partition may have taken effect: the algorithm of Wing and Gong
 * (1993), with Lowe's memory of configurations ("Testing for linearizability", 2017), and three additions. The last two
 * are for operations without an answer, each of which otherwise doubles the work:
 *
 * - An observation that fits now is taken at once and without a choice: in any order that has it later, it can as well
 *   come first.
 * - A configuration is also given up when one was seen that differs only in having used fewer of them: that one can do
 *   all that this one can.
 * - The search goes on where most answers are explained with the fewest of them, so that the better configurations are
 *   seen first.
 */
export function search<State, Input, Output> (
  model: Model<State, Input, Output>, history: History<Input, Output>, maxConfigurations: number
): SearchResult<State, Input, Output> {
  return new Search(model, createTimeline(history), maxConfigurations).run()
}

/** The operations to try next from a configuration: those with an answer, or those without. */
interface Step<State, Input, Output> {
  readonly from: Configuration<State, Input, Output>
  readonly kind: 'closed' | 'open'
}

class Search<State, Input, Output> {
  readonly #model: Model<State, Input, Output>
  readonly #timeline: Timeline<Input, Output>
  readonly #maxConfigurations: number
  readonly #frontier = new Frontier<Step<State, Input, Output>>()
  /** For each pair of linearized set and state, the sets of open operations that were used to get there. */
  readonly #seen = new Map<string, OpenSet[]>()
  readonly #stateIds = new Map<string, number>()
  #visited = 0
  #furthest: Configuration<State, Input, Output>

  constructor (model: Model<State, Input, Output>, timeline: Timeline<Input, Output>, maxConfigurations: number) {
    this.#model = model
    this.#timeline = timeline
    this.#maxConfigurations = maxConfigurations
    const state = model.initial()
    this.#furthest = {
      closed: LinearizedSet.empty,
      closedCount: 0,
      open: emptyOpenSet(timeline.open.length),
      openCount: 0,
      stateId: this.#stateId(state),
      state,
      last: null
    }
  }

  run (): SearchResult<State, Input, Output> {
    this.#visit(this.#furthest)
    for (;;) {
      if (this.#furthest.closedCount === this.#timeline.closed.length) return this.#result('found')
      if (this.#visited > this.#maxConfigurations) return this.#result('gave-up')
      const next = this.#frontier.take()
      if (next === null) return this.#result('none')
      this.#take(next)
    }
  }

  #result (kind: SearchResult<State, Input, Output>['kind']): SearchResult<State, Input, Output> {
    return { kind, visited: this.#visited, furthest: this.#furthest }
  }

  /** Visits what may have taken effect next: any call made before the first return that is still to come. */
  #take ({ from, kind }: Step<State, Input, Output>): void {
    const { closed, open } = this.#timeline
    const candidates: number[] = []
    let firstReturn = Infinity
    for (let number = from.closed.low; number < closed.length; number++) {
      const call = closed[number]
      if (call === undefined || call.calledAt > firstReturn) break
      if (from.closed.has(number)) continue
      firstReturn = Math.min(firstReturn, call.returnedAt)
      candidates.push(number)
    }
    if (kind === 'closed') {
      this.#takeClosed(from, candidates)
      return
    }
    for (const [number, call] of open.entries()) {
      if (call.calledAt > firstReturn) break
      if (!inOpenSet(from.open, number) && (call.twin === null || inOpenSet(from.open, call.twin))) {
        this.#takeOpen(from, number)
      }
    }
  }

  #takeClosed (from: Configuration<State, Input, Output>, candidates: readonly number[]): void {
    const next: Array<Configuration<State, Input, Output>> = []
    for (const number of candidates) {
      const operation = this.#timeline.closed[number]?.operation
      if (operation === undefined) continue
      const states = this.#model.step(from.state, operation.input, operation.outcome)
      if (states.length === 0) continue
      const successor = { ...from, closed: from.closed.with(number), closedCount: from.closedCount + 1 }
      const reached = states.map((state) => ({
        ...successor,
        stateId: this.#stateId(state),
        state,
        last: { operation, before: from }
      }))
      const [only] = reached
      const changesNothing = reached.length === 1 && only?.stateId === from.stateId
      if (changesNothing && this.#model.isObservation(operation.input, operation.outcome.output)) {
        this.#visit(only)
        return
      }
      next.push(...reached)
    }
    // Of equals the frontier hands out the last: the earliest call is to be tried first.
    for (const configuration of next.reverse()) this.#visit(configuration)
    this.#frontier.add({ from, kind: 'open' }, from.closedCount, 2 * from.openCount + 1)
  }

  #takeOpen (from: Configuration<State, Input, Output>, number: number): void {
    const operation = this.#timeline.open[number]?.operation
    if (operation === undefined) return
    for (const state of this.#model.step(from.state, operation.input, operation.outcome)) {
      const stateId = this.#stateId(state)
      // Without an effect it can as well happen later, or never.
      if (stateId === from.stateId) continue
      this.#visit({
        ...from,
        open: withOpen(from.open, number),
        openCount: from.openCount + 1,
        stateId,
        state,
        last: { operation, before: from }
      })
    }
  }

  #visit (configuration: Configuration<State, Input, Output>): void {
    const { closed, closedCount, open, openCount, stateId } = configuration
    const key = `${stateId},${closed.identify()}`
    const seen = this.#seen.get(key)
    if (seen === undefined) {
      this.#seen.set(key, [open])
    } else {
      if (seen.some((other) => isWithin(other, open))) return
      seen.push(open)
    }
    this.#visited++
    this.#frontier.add({ from: configuration, kind: 'closed' }, closedCount, 2 * openCount)
    if (closedCount > this.#furthest.closedCount) this.#furthest = configuration
  }

  #stateId (state: State): number {
    const text = this.#model.identify(state)
    let id = this.#stateIds.get(text)
    if (id === undefined) {
      id = this.#stateIds.size
      this.#stateIds.set(text, id)
    }
    return id
  }
}
