import { Client } from 'undici'
import type { PeerChannel } from './peer-channel.ts'
import { postOver } from './peer-channel.ts'
import type { ConnectOptions } from './tls.ts'

/** Far above the answers of peers. */
const maxAnswerBytes = 1_048_576

/** Where a {@link SnapshotLink} leads. */
interface SnapshotLinkOptions {
  readonly url: string
  readonly channel: PeerChannel
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

  /** Sends one body and resolves with that of the answer. Rejects with the signal's reason when that aborts first. */
  async request (body: Buffer, signal: AbortSignal): Promise<Uint8Array> {
    const { channel, path, timeoutMs } = this.#options
    return await postOver(channel, this.#connected(), { path, body, timeoutMs, maxAnswerBytes, signal })
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
