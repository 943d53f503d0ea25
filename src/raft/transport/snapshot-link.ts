import { Client } from 'undici'
import type { ConnectOptions } from './tls.ts'

/** Where a {@link SnapshotLink} leads. */
interface SnapshotLinkOptions {
  readonly url: string
  readonly path: string
  readonly connect: ConnectOptions
  /** Deadline of one part. The last one waits until the peer's disk has all of the snapshot. */
  readonly timeoutMs: number
}

/**
 * A connection to one peer for snapshots alone, so that nothing else ever waits behind one. Connects when it is needed.
 */
export class SnapshotLink {
  readonly #options: SnapshotLinkOptions
  #client: Client | null = null

  constructor (options: SnapshotLinkOptions) {
    this.#options = options
  }

  /** Sends one body and resolves with that of the answer. */
  async request (body: Buffer, signal: AbortSignal): Promise<Uint8Array> {
    const { path, timeoutMs } = this.#options
    const answer = await this.#connected().request({
      method: 'POST',
      path,
      headers: { 'content-type': 'application/octet-stream' },
      body,
      signal: AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]),
      headersTimeout: timeoutMs,
      bodyTimeout: timeoutMs
    })
    if (answer.statusCode !== 200) {
      throw new Error(`the peer answered ${answer.statusCode}: ${(await answer.body.text()).slice(0, 500)}`)
    }
    return new Uint8Array(await answer.body.arrayBuffer())
  }

  async close (): Promise<void> {
    await this.#client?.destroy()
  }

  #connected (): Client {
    const { url, connect } = this.#options
    this.#client ??= new Client(url, { pipelining: 1, connect, allowH2: false })
    return this.#client
  }
}
