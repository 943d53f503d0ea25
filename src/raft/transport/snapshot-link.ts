import type { buildConnector } from 'undici'
import type { Connector } from '../runtime/environment.ts'
import type { Timers } from '../runtime/timers.ts'
import type { TlsMaterial, TlsSource } from '../trust/tls-material.ts'
import type { PeerChannel } from './peer-channel.ts'
import { postOver } from './peer-channel.ts'
import { RenewedPool } from './renewed-pool.ts'

/** Far above the answers of peers. */
const maxAnswerBytes = 1_048_576

/** Where a {@link SnapshotLink} leads. */
interface SnapshotLinkOptions {
  readonly url: string
  readonly channel: PeerChannel
  readonly path: string
  readonly tls: TlsSource
  readonly connect: (material: TlsMaterial) => buildConnector.BuildOptions | Connector
  /** Deadline of one part. The last one waits until the peer's disk has all of the snapshot. */
  readonly timeoutMs: number
  readonly timers: Timers
}

/**
 * A connection to one peer for snapshots alone, so that nothing else ever waits behind one. Connects when it is needed.
 */
export class SnapshotLink {
  readonly #options: SnapshotLinkOptions
  #pool: RenewedPool | null = null

  constructor (options: SnapshotLinkOptions) {
    this.#options = options
  }

  /** Sends one body and resolves with that of the answer. Rejects with the signal's reason when that aborts first. */
  async request (body: Buffer, signal: AbortSignal): Promise<Uint8Array> {
    const { channel, path, timeoutMs, timers } = this.#options
    return await postOver(channel, this.#connected(), { path, body, timeoutMs, timers, maxAnswerBytes, signal })
  }

  async close (): Promise<void> {
    await this.#pool?.destroy()
  }

  #connected (): RenewedPool {
    const { url, tls, connect } = this.#options
    this.#pool ??= new RenewedPool(url, tls, (material) => (
      { connections: 1, pipelining: 1, connect: connect(material) }
    ))
    return this.#pool
  }
}
