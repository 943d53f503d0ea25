import type { Outcome } from '../history.ts'
import type { Model } from '../model.ts'

export type MapInput =
  | { readonly kind: 'get', readonly key: string }
  | { readonly kind: 'set', readonly key: string, readonly value: unknown, readonly ifRevision?: number }
  | { readonly kind: 'delete', readonly key: string, readonly ifRevision?: number }

export type MapOutput =
  | { readonly kind: 'found', readonly value: unknown, readonly revision: number }
  | { readonly kind: 'absent' }
  | { readonly kind: 'written', readonly revision: number }
  /** The key was not at `ifRevision` but at this one; 0 when it was absent. Left out where the client was not told. */
  | { readonly kind: 'mismatch', readonly revision?: number }
  | { readonly kind: 'deleted', readonly existed: boolean, readonly revision: number }

/**
 * One key. Revisions are opaque, whole and positive, and only rise, also across a delete. The revision of a write whose
 * caller got no answer is unknown until a caller sees it.
 */
export interface MapState {
  /** JSON text of the value; null when the key is absent. */
  readonly valueJson: string | null
  /** Null while unknown; 0 when the key is absent. */
  readonly revision: number | null
  /** Every revision to come is at least this, and so is an unknown one. */
  readonly nextRevision: number
}

function absentFrom (nextRevision: number): MapState {
  return { valueJson: null, revision: 0, nextRevision }
}

/** The revision of the write that led to `state` turns out to be this one; null when it cannot be. */
function reveal (state: MapState, revision: number): MapState | null {
  if (state.revision !== null) return state.revision === revision ? state : null
  return revision >= state.nextRevision ? { ...state, revision, nextRevision: revision + 1 } : null
}

/** The states in which a write with this condition does its work. */
function whereMatching (state: MapState, ifRevision: number | undefined): MapState[] {
  if (ifRevision === undefined) return [state]
  const revealed = reveal(state, ifRevision)
  return revealed === null ? [] : [revealed]
}

/** The states in which a write with this condition is refused, and the caller told the revision, or not. */
function whereMismatched (state: MapState, ifRevision: number | undefined, told: number | undefined): MapState[] {
  if (ifRevision === undefined || told === ifRevision) return []
  if (told !== undefined) return whereMatching(state, told)
  return state.revision === ifRevision ? [] : [state]
}

type Write = Exclude<MapInput, { kind: 'get' }>

/** The state after a write at a revision, null when its caller was not told; nothing when it cannot be that one. */
function written (state: MapState, input: Write, revision: number | null): MapState[] {
  if (revision !== null && revision < state.nextRevision) return []
  // An unknown revision leaves the bound where it is: raised, it would tell apart states that differ in nothing else.
  const nextRevision = revision === null ? state.nextRevision : revision + 1
  return [
    input.kind === 'delete'
      ? absentFrom(nextRevision)
      : { valueJson: JSON.stringify(input.value), revision, nextRevision }
  ]
}

function stepWrite (state: MapState, input: Write, outcome: Outcome<MapOutput>): readonly MapState[] {
  const matching = whereMatching(state, input.ifRevision)
  if (outcome.kind === 'unknown') {
    // A write without effect may as well never happen, so a refused one, or a delete of nothing, leads nowhere.
    if (input.kind === 'delete' && state.valueJson === null) return []
    return matching.flatMap((before) => written(before, input, null))
  }
  const { output } = outcome
  switch (output.kind) {
    case 'written':
      return input.kind === 'set' ? matching.flatMap((before) => written(before, input, output.revision)) : []
    case 'deleted': {
      if (input.kind !== 'delete' || output.existed !== (state.valueJson !== null)) return []
      return matching.flatMap((before) => written(before, input, output.revision))
    }
    case 'mismatch':
      return whereMismatched(state, input.ifRevision, output.revision)
    case 'found':
    case 'absent':
      return []
  }
}

function step (state: MapState, input: MapInput, outcome: Outcome<MapOutput>): readonly MapState[] {
  if (input.kind !== 'get') return stepWrite(state, input, outcome)
  if (outcome.kind === 'unknown') return [state]
  const { output } = outcome
  switch (output.kind) {
    case 'found': return state.valueJson === JSON.stringify(output.value) ? whereMatching(state, output.revision) : []
    case 'absent': return state.valueJson === null ? [state] : []
    case 'written':
    case 'mismatch':
    case 'deleted': return []
  }
}

/** The replicated map: values with revisions by key, writes under a condition. */
export const replicatedMapModel: Model<MapState, MapInput, MapOutput> = {
  partition: ({ key }) => key,
  initial: () => absentFrom(1),
  step,
  isObservation: ({ kind }, output) => kind === 'get' || output.kind === 'mismatch',
  identify: ({ valueJson, revision, nextRevision }) => JSON.stringify([valueJson, revision, nextRevision])
}
