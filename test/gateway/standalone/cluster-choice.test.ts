import { describe, expect, it } from 'vitest'
import { chooseCluster } from '../../../src/gateway/standalone/cluster-choice.ts'

/** A letter is a node of that cluster, `?` one that was not asked yet, `-` one that gave no answer. */
function seeds (text: string) {
  return [...text].map((letter) => ({ clusterUuid: /[a-z]/.test(letter) ? letter : null, hasTried: letter !== '?' }))
}

describe('the cluster of a gateway', () => {
  it.each([
    // Most of the seeds say so, whoever answers first.
    ['aa?', null, 'a'],
    ['b??', null, 'open'],
    ['baa', null, 'a'],
    ['baa', 'b', 'a'],
    // Nobody has another one, and all were asked.
    ['a--', null, 'a'],
    ['a-?', null, 'open'],
    ['---', null, null],
    ['???', null, null],
    // Two in one list: for its author to decide.
    ['ab', null, 'conflict'],
    ['abc', null, 'conflict'],
    ['ab-', null, 'conflict'],
    // What is known already does not change because a node of another cluster has come to an address of this one.
    ['ab', 'a', 'a'],
    ['b--', 'a', 'a'],
    ['---', 'a', 'a'],
    // The whole cluster was founded anew.
    ['bbb', 'a', 'b']
  ])('of %s, after %s, is %s', (text, before, expected) => {
    const choice = chooseCluster(seeds(text), before)
    expect(choice.kind === 'chosen' ? choice.uuid : choice.kind).toBe(expected)
  })
})
