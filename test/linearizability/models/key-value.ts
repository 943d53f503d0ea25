import type { Outcome } from '../history.ts'
import type { Model } from '../model.ts'

export type KeyValueInput =
  | { readonly kind: 'get', readonly key: string }
  | { readonly kind: 'put', readonly key: string, readonly value: string }
  | { readonly kind: 'append', readonly key: string, readonly value: string }

export type KeyValueOutput =
  | { readonly kind: 'got', readonly value: string }
  | { readonly kind: 'stored' }

function step (state: string, input: KeyValueInput, outcome: Outcome<KeyValueOutput>): readonly string[] {
  const output = outcome.kind === 'returned' ? outcome.output : null
  switch (input.kind) {
    case 'get': return output === null || (output.kind === 'got' && output.value === state) ? [state] : []
    case 'put': return output === null || output.kind === 'stored' ? [input.value] : []
    case 'append': return output === null || output.kind === 'stored' ? [state + input.value] : []
  }
}

/** Strings by key; every key starts as the empty string. */
export const keyValueModel: Model<string, KeyValueInput, KeyValueOutput> = {
  partition: ({ key }) => key,
  initial: () => '',
  step,
  isObservation: ({ kind }) => kind === 'get',
  identify: (state) => state
}
