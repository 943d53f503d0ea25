import type { SimRandom } from '../../sim/random.ts'
import type { History, Operation } from '../history.ts'

/** A correct object, one operation at a time; what a model describes, made anew. */
export interface SequentialObject<State, Input, Output> {
  readonly initial: State
  /** An operation that makes sense in this state; `serial` is a number of its own. */
  readonly draw: (random: SimRandom, state: State, serial: number) => Input
  /** Carries it out. No output where callers never get an answer. */
  readonly apply: (
    state: State,
    input: Input,
    serial: number
  ) => { readonly state: State; readonly output: Output | null }
}

export interface Load {
  readonly processes: number
  readonly operations: number
  /** Probability that a caller gets no answer. */
  readonly unknown: number
}

interface Slot {
  readonly process: string
  readonly calledAt: number
  /** When the operation takes effect; Infinity for never. */
  readonly effectAt: number
  readonly returnedAt: number
}

/** A history of a correct object under overlapping calls. Times are small whole numbers, so that many of them touch. */
export function simulateHistory<State, Input, Output> (
  random: SimRandom, object: SequentialObject<State, Input, Output>, load: Load
): History<Input, Output> {
  const slots = Array.from({ length: load.processes }, (_, process) => drawSlots(random, load, process)).flat()
  const history: Array<Operation<Input, Output>> = []
  let { initial: state } = object
  for (const [serial, slot] of slots.sort((left, right) => left.effectAt - right.effectAt).entries()) {
    const { process, calledAt, effectAt, returnedAt } = slot
    const input = object.draw(random, state, serial + 1)
    let output: Output | null = null
    if (effectAt !== Infinity) ({ state, output } = object.apply(state, input, serial + 1))
    history.push(output === null || returnedAt === Infinity
      ? { process, input, calledAt, outcome: { kind: 'unknown' } }
      : { process, input, calledAt, outcome: { kind: 'returned', output, returnedAt } })
  }
  return random.shuffled(history)
}

function drawSlots (random: SimRandom, load: Load, process: number): Slot[] {
  const slots: Slot[] = []
  let nowAt = 0
  for (let count = 0; count < load.operations / load.processes; count++) {
    const calledAt = nowAt + random.between(0, 4)
    const effectAt = calledAt + random.between(0, 4)
    nowAt = effectAt + random.between(0, 4)
    if (random.chance(load.unknown)) {
      const lateAt = random.chance(0.5) ? Infinity : effectAt + random.between(0, 20)
      slots.push({ process: `p${process}`, calledAt, effectAt: lateAt, returnedAt: Infinity })
    } else {
      slots.push({ process: `p${process}`, calledAt, effectAt, returnedAt: nowAt })
    }
  }
  return slots
}
