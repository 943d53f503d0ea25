import { fileURLToPath } from 'node:url'
import { LocalCluster, type LocalClusterOptions } from '../../../src/cli/local/local-cluster.ts'

/** The command line as `npm run build` leaves it. */
export const program = fileURLToPath(new URL('../../../dist/src/cli/main.js', import.meta.url))

/** Starts a cluster of real processes of the build. The caller stops it. */
export async function startCluster (options: LocalClusterOptions = {}): Promise<LocalCluster> {
  return await LocalCluster.start({ program, ...options })
}
