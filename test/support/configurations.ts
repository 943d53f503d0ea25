import type { Configuration, NodeId } from '../../src/raft/core/index.ts'
import { stableConfiguration } from '../../src/raft/core/index.ts'

/** Voters without addresses. */
export function configurationOf (voters: readonly NodeId[]): Configuration {
  return stableConfiguration(voters.map((id) => ({ id, address: '' })))
}
