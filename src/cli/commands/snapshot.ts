import type { InspectedSnapshot } from '../../raft/index.ts'
import { inspectSnapshot, restoreSnapshot, saveSnapshot } from '../../raft/index.ts'
import type { SnapshotSettings } from '../flags/snapshot.ts'
import type { Print } from '../terminal/messages.ts'
import { adminRequest } from './admin.ts'

/** Inspects a snapshot, copies one, or creates a data directory from one. Resolves with the exit code. */
export async function runSnapshot (settings: SnapshotSettings, print: Print, printError: Print): Promise<number> {
  switch (settings.action) {
    case 'inspect': {
      const found = await inspectSnapshot(settings.file)
      print(settings.json ? JSON.stringify(found) : describe(found))
      if (found.fault === null) return 0
      if (!settings.json) printError(`fastify-raft: ${found.fault.message} (${found.fault.code})`)
      return 1
    }
    case 'save':
      if (settings.node !== null) {
        const { node, tls, credentials } = settings
        await adminRequest({ node, tls, credentials }, 'POST', 'snapshot', {})
      }
      print(describe(await saveSnapshot(settings.dataDir, settings.file)))
      return 0
    case 'restore': {
      const { file, dataDir, id, members, clusterId, skipEntries } = settings
      const { index } = await restoreSnapshot(file, { directory: dataDir, nodeId: id, clusterId, members, skipEntries })
      print(
        `${dataDir} is ready for node ${id} of cluster ${clusterId} (${members.map((member) => member.id).join(', ')})`
      )
      print(`its log starts behind entry ${index}: every new fencing token is above that`)
      return 0
    }
  }
}

function describe ({ name, clusterId, index, term, timeMs, bytes }: InspectedSnapshot): string {
  if (index === null || term === null || timeMs === null || bytes === null) return `${name}: not readable`
  return `${name}: cluster ${String(clusterId)}, through entry ${index} of term ${term}, ` +
    `log time ${new Date(timeMs).toISOString()}, ${bytes} bytes of state`
}
