import { stat } from 'node:fs/promises'
import { createServer } from 'node:net'
import { DataDirError } from '../../errors.ts'
import { systemErrorCode } from './system-error.ts'

/**
 * Claims a directory for this storage alone, until the returned function is called or the process ends, however it
 * ends. Rejects with `RAFT_DATA_DIR` when it is claimed.
 *
 * Two processes on one log would destroy it: the second takes the group that the first is writing for a torn tail and
 * cuts it. Node has no file locks, and a lock file outlives a process that was killed. An abstract socket does neither
 * harm: its name exists as long as its process, and leaves nothing in the directory. Linux alone has them; elsewhere
 * the directory is not guarded. Containers with networks of their own do not see each other's.
 */
export async function claimDirectory (directory: string): Promise<() => Promise<void>> {
  if (process.platform !== 'linux') return () => Promise.resolve()
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
  return () => new Promise((resolve, reject) => {
    server.close((error) => { if (error === undefined) resolve(); else reject(error) })
  })
}
