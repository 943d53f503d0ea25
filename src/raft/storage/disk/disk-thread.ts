import { Worker } from 'node:worker_threads'
import type { DiskControl, DiskMessage, DiskReply } from './disk-thread-body.ts'
import { controlWords, runDiskThread } from './disk-thread-body.ts'
import type { DiskTask, LogDisk, OpenFile } from './file-operations.ts'

interface Pending {
  readonly resolve: () => void
  readonly reject: (reason: Error) => void
}

/**
 * A {@link LogDisk} that writes and syncs on a thread of its own, with synchronous calls.
 *
 * The thread sleeps on a bell in shared memory rather than in an event loop, and reads there what to write where. No
 * message has to be serialized, which would double the time of a hand-over. Groups are built in memory that both sides
 * share, so nothing is copied on the way to the disk.
 */
export class DiskThread implements LogDisk {
  readonly #worker: Worker
  readonly #control: DiskControl = {
    words: new Int32Array(new SharedArrayBuffer(Object.keys(controlWords).length * Int32Array.BYTES_PER_ELEMENT)),
    position: new Float64Array(new SharedArrayBuffer(Float64Array.BYTES_PER_ELEMENT))
  }

  readonly #name: string
  readonly #exited: Promise<void>
  /** The number by which the thread knows each memory. */
  readonly #memories = new Map<ArrayBufferLike, number>()
  #allocated = 0
  #pending: Pending | null = null
  #isStopped = false

  /** @param task the work of the thread; a part of its name */
  constructor (task: DiskTask) {
    this.#name = `raft-${task}`
    // The body is passed as text: a path would have to name a compiled file, which the sources under test are not.
    this.#worker = new Worker(
      `(${runDiskThread.toString()})(require('node:fs'), require('node:worker_threads'), ` +
        `${JSON.stringify(controlWords)})`,
      {
        eval: true,
        name: this.#name,
        workerData: this.#control,
        // The parent's flags may load modules into it, or make its text a module.
        execArgv: [],
        resourceLimits: { maxOldGenerationSizeMb: 32, maxYoungGenerationSizeMb: 8 }
      }
    )
    // Only a write under way keeps the process alive.
    this.#worker.unref()
    this.#worker.on('message', (reply: DiskReply) => { this.#settle(reply) })
    this.#exited = new Promise((resolve) => {
      this.#worker.on('exit', (code) => {
        this.#fail(new Error(`the thread ${this.#name} ended with code ${code}`))
        resolve()
      })
    })
    this.#worker.on('error', (error) => { this.#fail(error) })
  }

  allocate (bytes: number): Buffer {
    const memory = new SharedArrayBuffer(bytes)
    this.#allocated++
    this.#memories.set(memory, this.#allocated)
    this.#post({ kind: 'memory', id: this.#allocated, memory })
    return Buffer.from(memory)
  }

  free (memory: Buffer): void {
    const id = this.#memories.get(memory.buffer)
    if (id === undefined || !this.#memories.delete(memory.buffer)) return
    this.#post({ kind: 'free', id })
  }

  write (file: OpenFile, bytes: Buffer, position: number): Promise<void> {
    const memory = this.#memories.get(bytes.buffer)
    if (memory === undefined) return Promise.reject(new Error('only memory that both threads share is written from'))
    return this.#start(() => {
      const { words, position: start } = this.#control
      words[controlWords.descriptor] = file.descriptor
      words[controlWords.memory] = memory
      words[controlWords.offset] = bytes.byteOffset
      words[controlWords.bytes] = bytes.length
      start[0] = position
      this.#ring(controlWords.writes)
    })
  }

  publish (from: string, to: string): Promise<void> {
    return this.#start(() => { this.#post({ kind: 'publish', from, to }) })
  }

  async stop (): Promise<void> {
    if (!this.#isStopped) {
      this.#isStopped = true
      this.#worker.ref()
      this.#post({ kind: 'stop' })
    }
    await this.#exited
  }

  #start (tell: () => void): Promise<void> {
    if (this.#isStopped) return Promise.reject(new Error(`the thread ${this.#name} has ended`))
    if (this.#pending !== null) return Promise.reject(new Error(`the thread ${this.#name} is busy`))
    return new Promise((resolve, reject) => {
      this.#pending = { resolve, reject }
      this.#worker.ref()
      tell()
    })
  }

  #post (message: DiskMessage): void {
    this.#worker.postMessage(message)
    this.#ring(controlWords.messages)
  }

  #ring (counter: number): void {
    const { words } = this.#control
    // The store to the counter is the last one: it makes all earlier ones visible to the thread that reads the counter.
    Atomics.add(words, counter, 1)
    Atomics.add(words, controlWords.bell, 1)
    Atomics.notify(words, controlWords.bell)
  }

  #settle (reply: DiskReply): void {
    const pending = this.#pending
    this.#pending = null
    this.#worker.unref()
    if (reply === null) pending?.resolve()
    else pending?.reject(Object.assign(new Error(reply.message), reply.code === undefined ? {} : { code: reply.code }))
  }

  #fail (error: Error): void {
    this.#isStopped = true
    this.#pending?.reject(error)
    this.#pending = null
  }
}
