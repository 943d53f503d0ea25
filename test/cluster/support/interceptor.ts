import { once } from 'node:events'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Pool } from 'undici'

/** A request as it was intercepted: header fields are names and values in turn. */
export interface InterceptedRequest {
  readonly method: string
  readonly target: string
  readonly headers: readonly string[]
  readonly body: Buffer
}

/** An answer as it was intercepted. */
export interface InterceptedAnswer {
  readonly statusCode: number
  readonly headers: readonly string[]
  readonly body: Buffer
}

/** A request and its answer. */
export interface Exchange {
  readonly request: InterceptedRequest
  readonly answer: InterceptedAnswer
}

/** Decides what becomes of a request: `pass` sends it on, as it is or another one. */
export type Intercept = (
  request: InterceptedRequest,
  pass: (request: InterceptedRequest) => Promise<InterceptedAnswer>
) => Promise<InterceptedAnswer>

const timeoutMs = 10_000
const ofOneConnection = new Set(['connection', 'keep-alive', 'transfer-encoding'])

/**
 * Somebody on the way to a node: passes on whole requests and answers without a trace, and may record, play back and
 * alter them. Members that are reached over one have its URL.
 */
export class Interceptor {
  readonly url: string
  /** Everything that went over it while this is set. */
  recorded: Exchange[] | null = null
  intercept: Intercept = async (request, pass) => await pass(request)
  readonly #server: Server
  readonly #pool: Pool

  /** Listens at an address of this machine, and passes on to the origin `target`. */
  static async open (target: string, port = 0, host = '127.0.0.1'): Promise<Interceptor> {
    const server = createServer()
    server.listen(port, host)
    await once(server, 'listening')
    const pool = new Pool(target, { connections: 256, headersTimeout: timeoutMs, bodyTimeout: timeoutMs })
    return new Interceptor(server, pool)
  }

  private constructor (server: Server, pool: Pool) {
    const { address, port } = server.address() as AddressInfo
    this.url = `http://${address}:${port}`
    this.#server = server
    this.#pool = pool
    server.on('request', (request, response) => {
      this.#serve(request, response).catch(() => { response.destroy() })
    })
  }

  /** Sends a request to the node behind it, one that was recorded for example. */
  async send ({ method, target, headers, body }: InterceptedRequest): Promise<InterceptedAnswer> {
    const answer = await this.#pool.request({
      method,
      path: target,
      headers: kept(headers),
      body: body.byteLength === 0 ? null : body,
      responseHeaders: 'raw'
    })
    return {
      statusCode: answer.statusCode,
      headers: kept(answer.headers as unknown as readonly string[]),
      body: Buffer.from(await answer.body.arrayBuffer())
    }
  }

  async close (): Promise<void> {
    this.#server.close()
    this.#server.closeAllConnections()
    await this.#pool.destroy()
  }

  async #serve (incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = []
    for await (const chunk of incoming) chunks.push(chunk as Buffer)
    const request: InterceptedRequest = {
      method: incoming.method ?? '',
      target: incoming.url ?? '',
      headers: [...incoming.rawHeaders],
      body: Buffer.concat(chunks)
    }
    const answer = await this.intercept(request, async (passed) => await this.send(passed))
    this.recorded?.push({ request, answer })
    response.writeHead(answer.statusCode, [...answer.headers])
    response.end(answer.body)
  }
}

/** The fields that are not about one connection. */
function kept (headers: readonly string[]): string[] {
  return headers.filter((_, index) => !ofOneConnection.has(String(headers[index - (index % 2)]).toLowerCase()))
}

/** The value of a field, or undefined. */
export function fieldOf ({ headers }: { readonly headers: readonly string[] }, name: string): string | undefined {
  const at = headers.findIndex((field, index) => index % 2 === 0 && field.toLowerCase() === name)
  return at === -1 ? undefined : headers[at + 1]
}

/** The code in the body of a refusal; empty when there is none. */
export function codeOf ({ body }: { readonly body: Uint8Array }): string {
  try {
    return (JSON.parse(Buffer.from(body).toString()) as { readonly code?: string }).code ?? ''
  } catch {
    return ''
  }
}
