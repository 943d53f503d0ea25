import type { SnapshotStore, Storage } from '../raft/index.ts'
import type { Environment } from '../raft/internal.ts'
import { systemEnvironment } from '../raft/internal.ts'

/** Where the node of an application lives. */
export interface NodeEnvironment extends Environment {
  /** Log and snapshots of a node without a data directory; new ones in memory when left out. */
  readonly memory?: { readonly storage: Storage, readonly snapshots: SnapshotStore }
}

/**
 * Key of the environment among the options of the plugin. A symbol that nobody else has: no configuration can name it,
 * the schema of the options does not know it, and a spread of the options keeps it.
 */
export const environmentKey: unique symbol = Symbol('environment of a fastify-raft node')

/** The environment among the options; that of this process where there is none. */
export function environmentOf (options: object): NodeEnvironment {
  const { [environmentKey]: given } = options as { readonly [environmentKey]?: NodeEnvironment }
  return given ?? systemEnvironment
}
