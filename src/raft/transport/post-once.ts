import type { buildConnector } from 'undici'
import type { Connector } from '../runtime/environment.ts'
import type { Timers } from '../runtime/timers.ts'
import type { PeerChannel } from './peer-channel.ts'
import { postOver } from './peer-channel.ts'
import { undici } from './undici.ts'

/** Far above an answer that names all members. */
const maxAnswerBytes = 262_144

/** One request of {@link postOnce}. */
interface PostOptions {
  readonly channel: PeerChannel
  readonly path: string
  readonly body: Buffer
  /** Deadline of the whole request. */
  readonly timeoutMs: number
  readonly timers: Timers
  readonly connect: buildConnector.BuildOptions | Connector
  readonly signal: AbortSignal
}

/**
 * Posts one body on a connection of its own and resolves with that of the answer. Rejects when it did not come with
 * status 200 in time, connecting included, and with the signal's reason.
 */
export async function postOnce (url: string, { connect, ...request }: PostOptions): Promise<Uint8Array> {
  const client = new undici.Client(url, { pipelining: 1, connect, allowH2: false })
  try {
    return await postOver(request.channel, client, { ...request, maxAnswerBytes })
  } finally {
    await client.destroy()
  }
}
