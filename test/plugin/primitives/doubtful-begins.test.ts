import { expect, it } from 'vitest'
import { DoubtfulBegins } from '../../../src/plugin/primitives/doubtful-begins.ts'

it('knows 10,000 keys of one leadership: one more counts as lost, and nothing is known of another leadership', () => {
  const doubtful = new DoubtfulBegins()
  for (let count = 0; count <= 10_000; count++) doubtful.add(`k${count}`, 1)
  expect([doubtful.has('k0', 1), doubtful.has('k9999', 1), doubtful.has('k10000', 1)]).toEqual([true, true, false])
  expect(doubtful.has('k0', 2)).toBe(false)
  doubtful.delete('k0')
  expect(doubtful.has('k0', 1)).toBe(false)
  doubtful.add('k1', 2)
  expect([doubtful.has('k1', 1), doubtful.has('k2', 2), doubtful.has('k1', 2)]).toEqual([false, false, true])
})
