import { Worker } from 'node:worker_threads'

/**
 * Ends the process when one input keeps its event loop busy for ever: no timer of this thread would see that. `words`:
 * what to say then, before the place of the input.
 */
export class Watchdog {
  readonly #place = new Int32Array(new SharedArrayBuffer(4))
  readonly #worker: Worker

  constructor (words: string, limitMs = 60_000) {
    const workerData = { place: this.#place, words, limitMs }
    this.#worker = new Worker(body, { eval: true, workerData })
    this.#worker.unref()
  }

  begins (index: number): void {
    Atomics.store(this.#place, 0, index + 1)
  }

  async stop (): Promise<void> {
    await this.#worker.terminate()
  }
}

const body = `
const { workerData: { place, words, limitMs } } = require('node:worker_threads')
let before = 0
setInterval(() => {
  const now = Atomics.load(place, 0)
  if (now !== before || now === 0) { before = now; return }
  require('node:fs').writeSync(2, words + (now - 1) + '\\n')
  process.kill(process.pid, 'SIGKILL')
}, limitMs)
`
