import { Pool } from 'undici'

const concurrency = 128
const requestTimeoutMs = 10_000

async function put (pool: Pool, key: string, value: string): Promise<boolean> {
  const { statusCode, body } = await pool.request({
    method: 'PUT',
    path: `/_cluster/v1/kv/${key}`,
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ value }),
    headersTimeout: requestTimeoutMs
  })
  await body.dump()
  return statusCode === 200
}

function valueOf (number: number, bytes: number): string {
  return String(number).padEnd(bytes, '.')
}

/** Writes a number of entries to the same keys again and again, as fast as possible. Resolves with the last values. */
export async function writeMany (
  url: string,
  { entries, valueBytes, keys }: { readonly entries: number; readonly valueBytes: number; readonly keys: number }
): Promise<ReadonlyArray<readonly [key: string, value: string]>> {
  const pool = new Pool(url, { connections: concurrency })
  const last = new Map<string, string>()
  let next = 0
  // Each worker has its own keys, so that the last write of a key is known.
  const worker = async (own: number): Promise<void> => {
    for (let round = 0; next < entries; round++) {
      const key = `w${own}-${round % Math.max(1, Math.floor(keys / concurrency))}`
      const value = valueOf(next++, valueBytes)
      if (!(await put(pool, key, value))) throw new Error(`a write of ${key} was not acknowledged`)
      last.set(key, value)
    }
  }
  try {
    await Promise.all(Array.from({ length: concurrency }, (_, own) => worker(own)))
  } finally {
    await pool.destroy()
  }
  return [...last]
}

/** Writes entries at a fixed rate until it is stopped; a slow answer does not delay the next write. */
export class PacedWriter {
  readonly #pool: Pool
  readonly #timer: NodeJS.Timeout
  readonly #startedMs = performance.now()
  readonly #open = new Set<Promise<void>>()
  readonly #latencies: number[] = []
  readonly acknowledgedValues: Array<readonly [key: string, value: string]> = []
  #sent = 0
  #failed = 0

  constructor (url: string, { rate, valueBytes }: { readonly rate: number; readonly valueBytes: number }) {
    this.#pool = new Pool(url, { connections: concurrency })
    this.#timer = setInterval(() => {
      const due = ((performance.now() - this.#startedMs) / 1_000) * rate
      while (this.#sent < due) this.#write(this.#sent++, valueBytes)
    }, 10)
  }

  async stop (): Promise<{
    readonly perSecond: number
    readonly acknowledged: number
    readonly failed: number
    readonly p50Ms: number
    readonly p99Ms: number
    readonly maxMs: number
  }> {
    clearInterval(this.#timer)
    const elapsedMs = performance.now() - this.#startedMs
    await Promise.all(this.#open)
    await this.#pool.destroy()
    const sorted = this.#latencies.sort((one, other) => one - other)
    const at = (share: number): number =>
      Math.round((sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0) * 10) / 10
    return {
      perSecond: Math.round((sorted.length / elapsedMs) * 1_000),
      acknowledged: sorted.length,
      failed: this.#failed,
      p50Ms: at(0.5),
      p99Ms: at(0.99),
      maxMs: at(1)
    }
  }

  #write (number: number, valueBytes: number): void {
    const key = `p${number}`
    const value = valueOf(number, valueBytes)
    const startedMs = performance.now()
    const done = put(this.#pool, key, value)
      .then(
        (isAcknowledged) => {
          if (!isAcknowledged) {
            this.#failed++
            return
          }
          this.#latencies.push(performance.now() - startedMs)
          this.acknowledgedValues.push([key, value])
        },
        () => {
          this.#failed++
        }
      )
      .finally(() => {
        this.#open.delete(done)
      })
    this.#open.add(done)
  }
}
