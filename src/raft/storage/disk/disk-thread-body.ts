import type * as fileSystem from 'node:fs'
import type * as workerThreads from 'node:worker_threads'

/** Rare requests to the disk thread, sent as messages. Writes are requested through {@link DiskControl}. */
export type DiskMessage =
  | { readonly kind: 'memory', readonly id: number, readonly memory: SharedArrayBuffer }
  | { readonly kind: 'free', readonly id: number }
  | { readonly kind: 'publish', readonly from: string, readonly to: string }
  | { readonly kind: 'stop' }

/** The answer to a request: null when its work is done and durable. */
export type DiskReply = { readonly message: string, readonly code: string | undefined } | null

/**
 * Memory that both sides share: 32-bit words by {@link controlWords}, and the position of a write as a float, because
 * it may need more than 32 bits. The thread sleeps on `bell`. A request increments its counter, then the bell.
 */
export interface DiskControl {
  readonly words: Int32Array
  readonly position: Float64Array
}

/** The words of the control, by their place. */
export const controlWords = { bell: 0, messages: 1, writes: 2, descriptor: 3, memory: 4, offset: 5, bytes: 6 } as const

type FileSystem = Pick<
  typeof fileSystem,
  'writeSync' | 'fdatasyncSync' | 'renameSync' | 'openSync' | 'fsyncSync' | 'closeSync'
>
type Threads = Pick<typeof workerThreads, 'parentPort' | 'receiveMessageOnPort' | 'workerData'>

/**
 * The body of the disk thread; returns when it is told to stop.
 *
 * It is passed to the thread as text, so it must stand alone: it uses its parameters and the globals of every Node.js
 * thread, and no import.
 */
export function runDiskThread (fs: FileSystem, threads: Threads, at: typeof controlWords): void {
  const port = threads.parentPort
  if (port === null) throw new Error('not in a thread')
  const { words, position } = threads.workerData as DiskControl
  const memories = new Map<number, Uint8Array>()

  const write = (): void => {
    const descriptor = words[at.descriptor] as number
    const memory = memories.get(words[at.memory] as number)
    if (memory === undefined) throw new Error('told to write from memory that was never shared')
    const offset = words[at.offset] as number
    const bytes = words[at.bytes] as number
    const start = position[0] as number
    for (let written = 0; written < bytes;) {
      const count = fs.writeSync(descriptor, memory, offset + written, bytes - written, start + written)
      if (count <= 0) throw new Error('the file system took ' + written + ' of ' + bytes + ' bytes and then none')
      written += count
    }
    fs.fdatasyncSync(descriptor)
  }

  const publish = (from: string, to: string): void => {
    fs.renameSync(from, to)
    // Windows cannot open a directory, and makes a rename durable by itself.
    if (process.platform === 'win32') return
    const directory = fs.openSync(to.slice(0, to.lastIndexOf('/')) || '/', 'r')
    try {
      fs.fsyncSync(directory)
    } finally {
      fs.closeSync(directory)
    }
  }

  const answer = (work: () => void): void => {
    let reply: DiskReply = null
    try {
      work()
    } catch (error) {
      const { message, code } = error as NodeJS.ErrnoException
      reply = { message, code }
    }
    port.postMessage(reply)
  }

  let messages = 0
  let writes = 0
  for (;;) {
    // Read before the counters: a request that rings later ends the wait below.
    const rung = Atomics.load(words, at.bell)
    const isToldToWrite = writes !== Atomics.load(words, at.writes)
    // Messages before the write: the memory that it needs was announced before it was requested.
    while (messages !== Atomics.load(words, at.messages)) {
      const received = threads.receiveMessageOnPort(port) as { message: DiskMessage } | undefined
      if (received === undefined) break
      messages = (messages + 1) | 0
      const { message } = received
      if (message.kind === 'stop') return
      if (message.kind === 'memory') memories.set(message.id, new Uint8Array(message.memory))
      else if (message.kind === 'free') memories.delete(message.id)
      else answer(() => { publish(message.from, message.to) })
    }
    if (isToldToWrite) {
      writes = (writes + 1) | 0
      answer(write)
    }
    Atomics.wait(words, at.bell, rung)
  }
}
