import { Pool } from 'undici'

/** How notes are written and read. */
export interface NotesLoadOptions {
  /** Requests go to these copies in turn. */
  readonly urls: readonly string[]
  readonly perSecond: number
  /** How connections are made, with TLS for example; see `Pool` of undici. */
  readonly connect?: Pool.Options['connect']
}

/** What a stretch of a load was like. */
export interface LoadFigures {
  readonly requests: number
  /** Good answers a second. */
  readonly perSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly maxMs: number
  /** What went wrong, one entry a request. */
  readonly failures: readonly string[]
}

const connections = 64
const maxOpen = 4_000
const tickMs = 4
const requestTimeoutMs = 15_000
/** Each note is written again after so many others. */
const noteCount = 500
/** A note is read when so many others were written since. */
const readBehind = 60

/**
 * Writes and reads notes of `notes-app.ts` in turn, over connections that are kept, at a fixed rate: a slow answer
 * delays no request. Each read has to see what was acknowledged before it was sent.
 */
export class NotesLoad {
  readonly #pools: readonly Pool[]
  readonly #perSecond: number
  readonly #startedMs = performance.now()
  readonly #timer: NodeJS.Timeout
  readonly #open = new Set<Promise<void>>()
  /** By note, the number of the latest write that was acknowledged. */
  readonly #acknowledged = new Map<string, number>()
  readonly #windows = new Set<Window>()
  readonly #all = new Window()
  #sent = 0
  /** How many good answers have come. */
  answered = 0

  constructor ({ urls, perSecond, connect }: NotesLoadOptions) {
    this.#pools = urls.map((url) => new Pool(url, {
      connections,
      headersTimeout: requestTimeoutMs,
      bodyTimeout: requestTimeoutMs,
      ...(connect === undefined ? {} : { connect })
    }))
    this.#perSecond = perSecond
    this.#windows.add(this.#all)
    this.#timer = setInterval(() => { this.#sendWhatIsDue() }, tickMs)
  }

  /** What each note holds by the last answer about it. */
  get acknowledged (): ReadonlyMap<string, string> {
    return new Map([...this.#acknowledged].map(([key, number]) => [key, textOf(number)]))
  }

  /** Begins to count the answers that come from now on. */
  window (): { readonly end: () => LoadFigures } {
    const window = new Window()
    this.#windows.add(window)
    return {
      end: () => {
        this.#windows.delete(window)
        return window.figures()
      }
    }
  }

  /** Sends no more, waits for the last answers, and tells of all of them. */
  async stop (): Promise<LoadFigures> {
    clearInterval(this.#timer)
    const figures = this.#all
    await Promise.all(this.#open)
    await Promise.all(this.#pools.map(async (pool) => { await pool.destroy() }))
    return figures.figures()
  }

  #sendWhatIsDue (): void {
    const due = (performance.now() - this.#startedMs) / 1_000 * this.#perSecond
    while (this.#sent < due) {
      const number = this.#sent++
      const dueMs = this.#startedMs + number / this.#perSecond * 1_000
      if (this.#open.size >= maxOpen) this.#count(dueMs, `${maxOpen} requests are open`)
      else this.#send(number, dueMs)
    }
  }

  #send (number: number, dueMs: number): void {
    const pool = this.#pools[(number >> 1) % this.#pools.length]
    if (pool === undefined) throw new Error('there is no copy')
    const done = (number % 2 === 0 ? this.#write(pool, number >> 1) : this.#read(pool, number >> 1))
      .then((failure) => { this.#count(dueMs, failure) }, (error: unknown) => { this.#count(dueMs, String(error)) })
      .finally(() => { this.#open.delete(done) })
    this.#open.add(done)
  }

  async #write (pool: Pool, number: number): Promise<string | null> {
    const key = keyOf(number)
    const { statusCode, body } = await pool.request({
      method: 'POST',
      path: `/notes/${key}`,
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ text: textOf(number) })
    })
    const text = await body.text()
    if (statusCode !== 200) return `POST: ${statusCode} ${text}`
    this.#acknowledged.set(key, number)
    return null
  }

  async #read (pool: Pool, number: number): Promise<string | null> {
    const key = keyOf(Math.max(0, number - readBehind))
    const known = this.#acknowledged.get(key)
    const { statusCode, body } = await pool.request({ method: 'GET', path: `/notes/${key}` })
    const answer = await body.text()
    if (statusCode !== 200) return `GET: ${statusCode} ${answer}`
    if (known === undefined) return null
    const { text } = JSON.parse(answer) as { readonly text: string | null }
    return numberOf(text) >= known ? null : `GET: ${key} was ${text} after ${textOf(known)} was acknowledged`
  }

  #count (dueMs: number, failure: string | null): void {
    const tookMs = performance.now() - dueMs
    if (failure === null) this.answered++
    for (const window of this.#windows) window.add(tookMs, failure)
  }
}

function keyOf (number: number): string {
  return `good-${number % noteCount}`
}

function textOf (number: number): string {
  return `write ${number}`
}

function numberOf (text: string | null): number {
  return text === null ? -1 : Number(text.slice(text.indexOf(' ')))
}

class Window {
  readonly #startedMs = performance.now()
  readonly #tookMs: number[] = []
  readonly #failures: string[] = []

  add (tookMs: number, failure: string | null): void {
    if (failure === null) this.#tookMs.push(tookMs)
    else this.#failures.push(failure)
  }

  figures (): LoadFigures {
    const seconds = (performance.now() - this.#startedMs) / 1_000
    const sorted = this.#tookMs.toSorted((one, other) => one - other)
    const at = (share: number): number =>
      Number((sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0).toFixed(1))
    return {
      requests: sorted.length + this.#failures.length,
      perSecond: Number((sorted.length / seconds).toFixed(1)),
      p50Ms: at(0.5),
      p99Ms: at(0.99),
      maxMs: at(1),
      failures: this.#failures
    }
  }
}
