import type { History, Operation, Outcome } from './history.ts'

/** A call under way. It ends at most once; one that never ends counts as unknown. */
export interface RecordedCall<Output> {
  /** The answer has arrived. */
  complete: (output: Output) => void
  /** The operation was not executed and never will be: it leaves no trace. */
  fail: () => void
  /** The operation may have been executed, or may be later: a timeout, a lost connection. */
  unknown: () => void
}

interface Call<Input, Output> {
  readonly operation: Omit<Operation<Input, Output>, 'outcome'>
  /** Null when the operation was not executed. */
  outcome: Outcome<Output> | null
}

/**
 * Step between two moments that the clock cannot tell apart; still a change for a clock that has counted a million
 * seconds.
 */
const stepMs = 1e-6

/**
 * Writes down what clients do, for {@link checkHistory}. Call `invoke` before the request leaves and end the call after
 * its answer has arrived: then events that the recorder saw in order happened in order, even when the clock stood
 * still.
 */
export class HistoryRecorder<Input, Output> {
  readonly #nowMs: () => number
  readonly #calls: Array<Call<Input, Output>> = []
  #lastReadMs = -Infinity
  #lastMs = -Infinity

  /** `nowMs` is monotonic: the milliseconds of a real or a simulated clock. */
  constructor (nowMs: () => number) {
    this.#nowMs = nowMs
  }

  /** A process is about to ask. */
  invoke (process: string | number, input: Input): RecordedCall<Output> {
    const call: Call<Input, Output> = {
      operation: { process, input, calledAt: this.#moment() },
      outcome: { kind: 'unknown' }
    }
    this.#calls.push(call)
    let isOver = false
    const end = (outcome: Outcome<Output> | null): void => {
      if (isOver) throw new Error(`a call of ${process} ended twice`)
      isOver = true
      call.outcome = outcome
    }
    return {
      complete: (output) => { end({ kind: 'returned', output, returnedAt: this.#moment() }) },
      fail: () => { end(null) },
      unknown: () => { end({ kind: 'unknown' }) }
    }
  }

  /** What has been seen so far, in the order of the calls. Calls still under way are unknown. */
  history (): History<Input, Output> {
    return this.#calls.flatMap(({ operation, outcome }) => outcome === null ? [] : [{ ...operation, outcome }])
  }

  /** A moment after every one before it. */
  #moment (): number {
    const nowMs = this.#nowMs()
    if (!(nowMs >= this.#lastReadMs)) throw new Error(`the clock went from ${this.#lastReadMs} to ${nowMs}`)
    this.#lastReadMs = nowMs
    const moment = Math.max(nowMs, this.#lastMs + stepMs)
    if (!(moment > this.#lastMs)) throw new RangeError(`${nowMs} ms is too large to tell moments apart`)
    this.#lastMs = moment
    return moment
  }
}
