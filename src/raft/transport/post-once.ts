import { Client } from 'undici'
import { SmallRequest } from './small-request.ts'
import type { TlsOptions } from './tls.ts'
import { connectOptions } from './tls.ts'

/** Far above an answer that names all members. */
const maxAnswerBytes = 262_144

/** One request of {@link postOnce}. */
interface PostOptions {
  readonly path: string
  readonly body: Buffer
  /** Deadline of the whole request. */
  readonly timeoutMs: number
  readonly tls: TlsOptions
  readonly signal: AbortSignal
}

/**
 * Posts one body on a connection of its own and resolves with that of the answer. Rejects when it did not come with
 * status 200 in time, connecting included, and with the signal's reason.
 */
export async function postOnce (
  url: string,
  { path, body, timeoutMs, tls, signal }: PostOptions
): Promise<Uint8Array> {
  signal.throwIfAborted()
  const client = new Client(url, { pipelining: 1, connect: connectOptions(timeoutMs, tls) })
  try {
    return await new Promise((resolve, reject) => {
      const request = new SmallRequest({
        method: 'POST',
        path,
        headers: ['content-type', 'application/octet-stream'],
        body,
        timeoutMs,
        maxAnswerBytes,
        answered: ({ statusCode, body }) => {
          signal.removeEventListener('abort', onAbort)
          if (statusCode === 200) resolve(body)
          else reject(new Error(`${url} answered ${statusCode}`))
        },
        failed: (cause) => {
          signal.removeEventListener('abort', onAbort)
          reject(cause)
        }
      })
      const onAbort = (): void => {
        request.abort(new Error('nobody waits for the answer', { cause: signal.reason }))
      }
      signal.addEventListener('abort', onAbort, { once: true })
      request.start(client)
    })
  } finally {
    await client.destroy()
  }
}
