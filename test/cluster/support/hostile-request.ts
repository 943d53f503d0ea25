import { Agent, request } from 'undici'
import { codeOf } from './interceptor.ts'

/** An answer to somebody who must not get more. */
export interface Verdict {
  readonly statusCode: number
  /** Of the body; empty when it has none. */
  readonly code: string
  readonly headers: Readonly<Record<string, unknown>>
  readonly text: string
}

const timeoutMs = 10_000
const agent = new Agent({ connections: 8, headersTimeout: timeoutMs, bodyTimeout: timeoutMs })

/** Sends one request with any header fields and any body. Rejects when no answer comes. */
export async function ask (
  method: string,
  url: string,
  { headers = {}, body = null }: {
    readonly headers?: Readonly<Record<string, string>>
    readonly body?: string | Buffer | null
  } = {}
): Promise<Verdict> {
  const answer = await request(url, { method: method as 'POST', headers: { ...headers }, body, dispatcher: agent })
  const bytes = Buffer.from(await answer.body.arrayBuffer())
  const { statusCode, headers: answered } = answer
  return { statusCode, code: codeOf({ body: bytes }), headers: answered, text: bytes.toString() }
}

/** The same with a JSON body. */
export async function askJson (method: string, url: string, body: unknown): Promise<Verdict> {
  return await ask(method, url, { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) })
}
