import { stat } from 'node:fs/promises'
import { createServer } from 'node:net'
import { DataDirError } from '../../errors.ts'
import type { DirectoryClaim } from './file-operations.ts'
import { systemErrorCode } from './file-operations.ts'

/**
 * Claims a directory for this process. Rejects with `RAFT_DATA_DIR` when it is claimed already.
 *
 * Two processes on one log would destroy it: the second would take a group that the first is writing for a torn tail,
 * and cut it. Node.js has no file locks, and a lock file outlives a process that was killed. An abstract socket has
 * neither problem: its name exists as long as its process, and leaves nothing in the directory. Only Linux has abstract
 * sockets; on other systems the directory is not guarded. Containers with separate networks do not see each other's.
 */
export async function claimDirectory (directory: string): Promise<DirectoryClaim> {
  if (process.platform !== 'linux') return { release: () => Promise.resolve() }
  const { dev, ino } = await stat(directory, { bigint: true })
  const server = createServer((socket) => { socket.destroy() })
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => {
      reject(
        systemErrorCode(error) === 'EADDRINUSE'
          ? new DataDirError(`The data directory ${directory} cannot be used: another running node has it open.`, {
            cause: error
          })
          : error
      )
    })
    // Exclusive, because workers of node:cluster would otherwise share it.
    server.listen({ path: `\0fastify-raft:${dev}:${ino}`, exclusive: true }, resolve)
  })
  server.unref()
  return {
    release: () => new Promise((resolve, reject) => {
      server.close((error) => { if (error === undefined) resolve(); else reject(error) })
    })
  }
}
