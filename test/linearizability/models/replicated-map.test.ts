import { describe, expect, it } from 'vitest'
import type { MapInput, MapOutput, Operation } from '../index.ts'
import { checkHistory, replicatedMapModel } from '../index.ts'
import { returned, unanswered } from '../support/at.ts'

type Step = readonly [MapInput, MapOutput | null]

const get: MapInput = { kind: 'get', key: 'k' }
function set (value: unknown, ifRevision?: number): MapInput {
  return { kind: 'set', key: 'k', value, ...ifRevision === undefined ? {} : { ifRevision } }
}
function remove (ifRevision?: number): MapInput {
  return { kind: 'delete', key: 'k', ...ifRevision === undefined ? {} : { ifRevision } }
}
function written (revision: number): MapOutput {
  return { kind: 'written', revision }
}
function found (value: unknown, revision: number): MapOutput {
  return { kind: 'found', value, revision }
}
function mismatch (revision?: number): MapOutput {
  return revision === undefined ? { kind: 'mismatch' } : { kind: 'mismatch', revision }
}
function deleted (existed: boolean, revision: number): MapOutput {
  return { kind: 'deleted', existed, revision }
}
const absent: MapOutput = { kind: 'absent' }

/** Operations one after the other; null for no answer. */
function inOrder (...steps: readonly Step[]): string {
  const history = steps.map(([input, output], position): Operation<MapInput, MapOutput> =>
    output === null ? unanswered(2 * position, input) : returned(2 * position, 2 * position + 1, input, output))
  return checkHistory(replicatedMapModel, history).verdict
}

describe('replicatedMapModel', () => {
  it.each<[string, ...Step[]]>([
    ['a value with its revision', [set({ a: 1 }), written(5)], [get, found({ a: 1 }, 5)]],
    ['a value that is null', [set(null), written(5)], [get, found(null, 5)]],
    [
      'a key created and deleted',
      [set(1, 0), written(2)],
      [remove(2), deleted(true, 3)],
      [get, absent],
      [remove(), deleted(false, 4)]
    ],
    [
      'a refused write without effect',
      [set(1), written(2)],
      [set(2, 1), mismatch(2)],
      [set(2, 1), mismatch()],
      [get, found(1, 2)]
    ],
    [
      'a lost write that took effect',
      [set(1), written(2)],
      [set(7), null],
      [get, found(7, 4)],
      [set(8, 4), written(9)]
    ],
    ['a lost write that did not', [set(1), written(2)], [set(7), null], [get, found(1, 2)], [set(8, 2), written(9)]],
    ['a lost write that took effect late', [set(7), null], [get, absent], [set(1), written(2)], [get, found(7, 4)]],
    ['a lost write known by its refusal of others', [set(7), null], [set(8, 0), mismatch(3)], [get, found(7, 3)]],
    [
      'a lost delete',
      [set(1), written(2)],
      [remove(), null],
      [get, found(1, 2)],
      [get, absent],
      [set(1, 0), written(4)]
    ]
  ])('accepts %s', (_name, ...steps) => {
    expect(inOrder(...steps)).toBe('linearizable')
  })

  it.each<[string, ...Step[]]>([
    ['another value', [set({ a: 1 }), written(5)], [get, found({ a: 2 }, 5)]],
    ['another revision', [set(1), written(5)], [get, found(1, 6)]],
    ['a revision that does not rise', [set(1), written(5)], [set(2), written(5)]],
    ['a revision that falls across a delete', [set(1), written(5)], [remove(), deleted(true, 6)], [set(1), written(6)]],
    ['a write on a revision that is over', [set(1), written(5)], [set(2), written(6)], [set(3, 5), written(7)]],
    ['a creation of what exists', [set(1), written(5)], [set(2, 0), written(6)]],
    ['a refusal though the revision matched', [set(1), written(5)], [set(2, 5), mismatch()]],
    ['a refusal that names the revision asked for', [set(1), written(5)], [set(2, 5), mismatch(5)]],
    ['a refusal without a condition', [set(1), written(5)], [set(2), mismatch(5)]],
    ['a deleted key found', [set(1), written(5)], [remove(), deleted(true, 6)], [get, found(1, 5)]],
    ['a delete of nothing that found something', [remove(), deleted(true, 6)]],
    ['a lost write with two revisions', [set(7), null], [get, found(7, 4)], [get, found(7, 5)]],
    ['a lost write with a revision from before', [set(1), written(5)], [set(7), null], [get, found(7, 5)]],
    ['an answer of another kind', [get, written(1)]]
  ])('refuses %s', (_name, ...steps) => {
    expect(inOrder(...steps)).toBe('violation')
  })

  it('keeps keys apart', () => {
    const other: MapInput = { kind: 'get', key: 'other' }
    expect(inOrder([set(1), written(5)], [other, absent])).toBe('linearizable')
  })
})
