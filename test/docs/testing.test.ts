import assert from 'node:assert/strict'
import { describe, expect, it } from 'vitest'
import * as testing from '../../src/testing/index.ts'
import { runSnippet } from './support/run-snippet.ts'

describe('the example in docs/testing.md', () => {
  it('holds, within virtual time', async () => {
    const tests: Array<() => Promise<void>> = []
    const runner = { it: (_title: string, test: () => Promise<void>) => { tests.push(test) } }
    await runSnippet('docs/testing.md', 'createTestCluster', [], {
      'node:assert/strict': { default: assert },
      vitest: runner,
      'fastify-raft/testing': testing
    })
    expect(tests.length).toBe(1)
    for (const test of tests) await test()
  })
})
