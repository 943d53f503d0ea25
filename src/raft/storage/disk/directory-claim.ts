import { access, constants, stat } from 'node:fs/promises'
import { DataDirError } from '../../errors.ts'
import type { DirectoryClaim } from './file-operations.ts'
import { systemErrorCode } from './file-operations.ts'
import { listen } from './local-socket.ts'
import type { SocketClaim } from './socket-claim.ts'
import { claimBySocket, isOwnedBySocket } from './socket-claim.ts'

/**
 * Claims a directory for this process. Rejects with `RAFT_DATA_DIR` when it is claimed already, and with system errors.
 *
 * Two processes on one log would destroy it: the second would take a group that the first is writing for a torn tail,
 * and cut it. Node.js has no file locks, and a lock file outlives a process that was killed. A listening socket ends
 * with its process. Two are held. One has a name that is made from the directory, and leaves nothing in it: an abstract
 * socket on Linux, a named pipe on Windows. Abstract sockets end at the network namespace, so another container does
 * not see this one; it sees the other, which stands in the directory ({@link claimBySocket}).
 */
export async function claimDirectory (directory: string): Promise<DirectoryClaim> {
  return await claim(directory, claimBySocket)
}

/**
 * As {@link claimDirectory}, for a process that only reads. Where it may not write, or the disk is full, it is refused
 * while the directory has an owner, but holds no socket there that would keep a node in another network namespace from
 * starting meanwhile.
 */
export async function claimForReading (directory: string): Promise<DirectoryClaim> {
  return await claim(directory, async () => {
    if (!await mayWrite(directory)) return await lookForOwner(directory, 'this process may not write it')
    try {
      return await claimBySocket(directory)
    } catch (error) {
      const code = systemErrorCode(error)
      if (code !== 'ENOSPC' && code !== 'EDQUOT') throw error
      return await lookForOwner(directory, `there is no space for a socket (${code})`)
    }
  })
}

async function lookForOwner (directory: string, reason: string): Promise<SocketClaim> {
  return await isOwnedBySocket(directory) ? { kind: 'in-use' } : { kind: 'unsupported', reason }
}

async function claim (
  directory: string,
  claimSocket: (directory: string) => Promise<SocketClaim>
): Promise<DirectoryClaim> {
  const releaseName = await claimName(directory)
  if (process.platform === 'win32') return { weakness: null, release: releaseName }
  try {
    const socket = await claimSocket(directory)
    if (socket.kind === 'in-use') throw inUse(directory)
    if (socket.kind === 'unsupported') return { weakness: weaknessOf(socket.reason), release: releaseName }
    return {
      weakness: null,
      release: async () => {
        await socket.release()
        await releaseName()
      }
    }
  } catch (error) {
    await releaseName()
    throw error
  }
}

/** Holds the name that is made from the directory, on systems that have such names; resolves with its release. */
async function claimName (directory: string): Promise<() => Promise<void>> {
  const { dev, ino } = await stat(directory, { bigint: true })
  const name = nameOf(`${dev}:${ino}`)
  if (name === null) return () => Promise.resolve()
  try {
    return (await listen(name)).close
  } catch (error) {
    throw systemErrorCode(error) === 'EADDRINUSE' ? inUse(directory, error) : error
  }
}

function nameOf (id: string): string | null {
  switch (process.platform) {
    case 'linux': return `\0fastify-raft:${id}`
    case 'win32': return `\\\\.\\pipe\\fastify-raft-${id.replace(':', '-')}`
    default: return null
  }
}

function weaknessOf (reason: string): string {
  return process.platform === 'linux'
    ? `only processes of this network namespace see that it is in use, and other containers do not: ${reason}`
    : `no other process sees that it is in use: ${reason}`
}

function inUse (directory: string, cause?: unknown): Error {
  return new DataDirError(`The data directory ${directory} cannot be used: another running node has it open.`, {
    cause
  })
}

async function mayWrite (directory: string): Promise<boolean> {
  try {
    await access(directory, constants.W_OK)
    return true
  } catch {
    return false
  }
}
