import { expect } from 'vitest'
import { resolveOptions } from '../../../src/plugin/options/options.ts'

/** The message with which options are refused; fails where they are accepted. */
export function faultsOf (options: unknown): string {
  try {
    resolveOptions(options)
  } catch (error) {
    expect(error).toMatchObject({ code: 'RAFT_INVALID_OPTIONS' })
    return (error as Error).message
  }
  throw new Error('the options were accepted')
}
