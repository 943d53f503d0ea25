import { setTimeout as delay } from 'node:timers/promises'

/** How the application treats a request: once by its key, again if its outcome is unknown, or as often as it comes. */
export type EntryKind = 'once' | 'again' | 'plain'

/** One request with a name of its own, and what its client saw in all attempts. */
export interface Entry {
  readonly id: string
  readonly kind: EntryKind
  readonly workMs: number
  /** The body of the answer that said that it was executed; null without one. */
  acknowledged: string | null
  /** The answers and errors after which the client could not know whether it was executed. */
  unknown: number
  /** The last word, when it is not an acknowledgement: `RAFT_REQUEST_LOST` for instance. */
  refused: string | null
  attempts: number
}

const requestTimeoutMs = 20_000
const pauseMs = 30
const longestWorkMs = 40
const maxAttempts = 1_000

type Outcome =
  | { readonly kind: 'acknowledged', readonly body: string, readonly isReplayed: boolean }
  /** Nothing was executed, by what the answer says; or a handler is at work. */
  | { readonly kind: 'later' }
  | { readonly kind: 'unknown' }
  | { readonly kind: 'refused', readonly code: string }

/** Sends a request once. */
export async function sendEntry (
  url: string,
  { kind, id, workMs }: Pick<Entry, 'kind' | 'id' | 'workMs'>
): Promise<Outcome> {
  // Where the route knows no keys, half of the requests have one all the same: it must not count for anything.
  const hasKey = kind !== 'plain' || workMs % 2 === 0
  try {
    const response = await fetch(`${url}/${kind}/${id}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...(hasKey ? { 'idempotency-key': `"${id}"` } : {}) },
      body: JSON.stringify({ workMs }),
      signal: AbortSignal.timeout(requestTimeoutMs)
    })
    const body = await response.text()
    if (response.status === 201) {
      return { kind: 'acknowledged', body, isReplayed: response.headers.get('idempotent-replayed') === 'true' }
    }
    const { code = '' } = JSON.parse(body) as { readonly code?: string }
    if (response.status === 503 || code === 'RAFT_REQUEST_PENDING') return { kind: 'later' }
    return response.status === 409 || response.status === 500 ? { kind: 'refused', code } : { kind: 'unknown' }
  } catch (error) {
    return isRefusedConnection(error) ? { kind: 'later' } : { kind: 'unknown' }
  }
}

function isRefusedConnection (error: unknown): boolean {
  return error instanceof Error && error.cause instanceof Error && 'code' in error.cause &&
    error.cause.code === 'ECONNREFUSED'
}

/** A client that sends requests of all kinds, each to random doors until it knows what became of it. */
export class LedgerClient {
  readonly entries: Entry[] = []
  readonly #name: string
  readonly #doors: readonly string[]
  readonly #random: () => number
  readonly #stop = new AbortController()
  readonly #done: Promise<void>

  constructor (name: string, doors: readonly string[], random: () => number) {
    this.#name = name
    this.#doors = doors
    this.#random = random
    this.#done = this.#work()
  }

  get acknowledged (): number { return this.entries.filter(({ acknowledged }) => acknowledged !== null).length }

  /** Resolves when the request under way has its end. */
  async stop (): Promise<void> {
    this.#stop.abort()
    await this.#done
  }

  async #work (): Promise<void> {
    const kinds: readonly EntryKind[] = ['once', 'again', 'plain']
    for (let number = 1; !this.#stop.signal.aborted; number++) {
      const entry: Entry = {
        id: `${this.#name}-${number}`,
        kind: kinds[number % kinds.length] ?? 'plain',
        workMs: Math.floor(this.#random() * longestWorkMs),
        acknowledged: null,
        unknown: 0,
        refused: null,
        attempts: 0
      }
      this.entries.push(entry)
      await this.#send(entry)
    }
  }

  async #send (entry: Entry): Promise<void> {
    while (entry.attempts++ < maxAttempts) {
      const outcome = await sendEntry(this.#doors[Math.floor(this.#random() * this.#doors.length)] ?? '', entry)
      switch (outcome.kind) {
        case 'acknowledged':
          entry.acknowledged = outcome.body
          return
        case 'refused':
          entry.refused = outcome.code
          // A handler that says that it failed, and whose request may run again, is asked again.
          if (entry.kind === 'again' && outcome.code === 'HALF_DONE') break
          return
        case 'unknown':
          entry.unknown++
          break
        case 'later':
      }
      await delay(pauseMs)
    }
    throw new Error(`${entry.id} has no end after ${maxAttempts} attempts`)
  }
}
