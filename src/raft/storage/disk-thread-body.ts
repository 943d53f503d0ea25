import type * as fileSystem from 'node:fs'
import type * as workerThreads from 'node:worker_threads'

/** What the disk thread is told to do. */
export type DiskCommand =
  | { readonly kind: 'write', readonly descriptor: number, readonly bytes: Uint8Array, readonly position: number }
  | { readonly kind: 'publish', readonly from: string, readonly to: string }
  | { readonly kind: 'stop' }

/** What it answers: null when it is done and durable. */
export type DiskReply = { readonly message: string, readonly code: string | undefined } | null

type FileSystem = Pick<typeof fileSystem, 'writeSync' | 'fdatasyncSync' | 'renameSync' | 'openSync' | 'fsyncSync' | 'closeSync'>
type Threads = Pick<typeof workerThreads, 'parentPort' | 'receiveMessageOnPort' | 'workerData'>

/**
 * Everything that runs on the disk thread, until it is told to stop.
 *
 * It is passed to the thread as text, so it must stand alone: it uses nothing but its parameters and the globals of
 * every Node.js thread, and no import.
 */
export function runDiskThread (fs: FileSystem, threads: Threads): void {
  const port = threads.parentPort
  if (port === null) throw new Error('not in a thread')
  const bell = threads.workerData as Int32Array

  const obey = (command: Exclude<DiskCommand, { kind: 'stop' }>): void => {
    if (command.kind === 'write') {
      const { descriptor, bytes, position } = command
      for (let written = 0; written < bytes.byteLength;) {
        const count = fs.writeSync(descriptor, bytes, written, bytes.byteLength - written, position + written)
        if (count <= 0) throw new Error('the file system took ' + written + ' of ' + bytes.byteLength + ' bytes and then none')
        written += count
      }
      fs.fdatasyncSync(descriptor)
      return
    }
    fs.renameSync(command.from, command.to)
    // Windows cannot open a directory, and makes a rename durable by itself.
    if (process.platform === 'win32') return
    const directory = fs.openSync(command.to.slice(0, command.to.lastIndexOf('/')) || '/', 'r')
    try {
      fs.fsyncSync(directory)
    } finally {
      fs.closeSync(directory)
    }
  }

  for (;;) {
    // Read before the commands are: whoever rings after that is not slept through.
    const rung = Atomics.load(bell, 0)
    for (let received = threads.receiveMessageOnPort(port) as { message: DiskCommand } | undefined; received !== undefined;
      received = threads.receiveMessageOnPort(port) as { message: DiskCommand } | undefined) {
      if (received.message.kind === 'stop') return
      let reply: DiskReply = null
      try {
        obey(received.message)
      } catch (error) {
        const { message, code } = error as NodeJS.ErrnoException
        reply = { message, code }
      }
      port.postMessage(reply)
    }
    Atomics.wait(bell, 0, rung)
  }
}
