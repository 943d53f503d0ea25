import type { Outcome } from '../history.ts'
import type { Model } from '../model.ts'

/** A register is nil, null here, until something is written. */
export type RegisterState = number | null

export type RegisterInput =
  | { readonly kind: 'read' }
  | { readonly kind: 'write', readonly value: number }
  | { readonly kind: 'compare-and-set', readonly expected: number, readonly value: number }

export type RegisterOutput =
  | { readonly kind: 'read', readonly value: RegisterState }
  | { readonly kind: 'written' }
  /** What the comparison said: an observation even when nothing was set. */
  | { readonly kind: 'compared', readonly wasEqual: boolean }

function step (state: RegisterState, input: RegisterInput, outcome: Outcome<RegisterOutput>): readonly RegisterState[] {
  const output = outcome.kind === 'returned' ? outcome.output : null
  switch (input.kind) {
    case 'read': return output === null || (output.kind === 'read' && output.value === state) ? [state] : []
    case 'write': return output === null || output.kind === 'written' ? [input.value] : []
    case 'compare-and-set': {
      const wasEqual = state === input.expected
      if (output !== null && !(output.kind === 'compared' && output.wasEqual === wasEqual)) return []
      return [wasEqual ? input.value : state]
    }
  }
}

/** One register with compare-and-set, as etcd's histories have it. */
export const registerModel: Model<RegisterState, RegisterInput, RegisterOutput> = {
  partition: () => 'register',
  initial: () => null,
  step,
  isObservation: (_input, output) => output.kind === 'read' || (output.kind === 'compared' && !output.wasEqual),
  identify: (state) => state === null ? 'nil' : String(state)
}
