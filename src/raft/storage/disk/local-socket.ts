import { constants } from 'node:fs'
import { access, open } from 'node:fs/promises'
import { connect, createServer } from 'node:net'
import { systemErrorCode } from './file-operations.ts'

/** A listening socket. A process that ends, however it ends, stops listening. */
export interface LocalListener {
  readonly close: () => Promise<void>
}

/** Listens on a socket path, an abstract name or a named pipe. Does not keep the process alive. */
export async function listen (path: string): Promise<LocalListener> {
  const server = createServer((socket) => { socket.destroy() })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    // Exclusive, because workers of node:cluster would otherwise share it.
    server.listen({ path, exclusive: true }, () => {
      server.off('error', reject)
      resolve()
    })
  })
  // A connection that could not be accepted has found the listener all the same.
  server.on('error', () => {})
  server.unref()
  return {
    close: () => new Promise((resolve, reject) => {
      server.close((error) => { if (error === undefined) resolve(); else reject(error) })
    })
  }
}

/** What stands at a path: a socket with a listener, one without (or no socket), or nothing. */
export type SocketState = 'listening' | 'dead' | 'missing'

const statesByError: ReadonlyMap<string | undefined, SocketState> = new Map([
  ['ECONNREFUSED', 'dead'],
  ['ENOENT', 'missing'],
  // The listener has not accepted its last connections yet: its process is busy or stopped.
  ['EAGAIN', 'listening']
])

/** Connects to find out; the kernel answers, so a listener may be busy or stopped. Rejects with other system errors. */
export function probeSocket (path: string): Promise<SocketState> {
  return new Promise((resolve, reject) => {
    const socket = connect({ path })
    socket.once('connect', () => {
      socket.destroy()
      resolve('listening')
    })
    socket.once('error', (error) => {
      const state = statesByError.get(systemErrorCode(error))
      if (state === undefined) reject(error)
      else resolve(state)
    })
  })
}

/** Longest path of a socket, in bytes: 107 on Linux, 103 on macOS. libuv cuts longer ones silently. */
const longestSocketPath = 103

/** A directory by a path that is short enough for sockets in it. */
export interface ShortPath {
  readonly path: string
  readonly close: () => Promise<void>
}

/**
 * Resolves with the directory's own path when that leaves room for `nameBytes` more, else, on Linux, with one through
 * an open descriptor; with null when there is no short path.
 */
export async function openShortPath (directory: string, nameBytes: number): Promise<ShortPath | null> {
  if (Buffer.byteLength(directory) + nameBytes <= longestSocketPath) {
    return { path: directory, close: () => Promise.resolve() }
  }
  if (process.platform !== 'linux') return null
  const handle = await open(directory, constants.O_RDONLY | constants.O_DIRECTORY)
  const path = `/proc/self/fd/${handle.fd}`
  try {
    await access(path)
  } catch {
    // Without /proc.
    await handle.close()
    return null
  }
  return { path, close: () => handle.close() }
}
