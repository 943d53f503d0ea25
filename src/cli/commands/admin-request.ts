import { PlainError } from '../terminal/plain-error.ts'

/** Nodes give up sooner, and say so. */
const timeoutMs = 60_000

/**
 * Calls an admin route of a node and resolves with its JSON answer; the caller vouches for the shape. Rejects with a
 * {@link PlainError} that has the node's own words when it refuses.
 */
export async function adminRequest<T> (
  node: string,
  method: 'GET' | 'POST' | 'DELETE',
  path: string,
  body: object | null = null
): Promise<T> {
  const { ok, status, text } = await send(`${node}/_cluster/v1/${path}`, method, body)
  const answer = parse(text)
  if (ok && answer !== null) return answer as T
  const { code, message } = (answer ?? {}) as { readonly code?: unknown; readonly message?: unknown }
  if (typeof code !== 'string' || typeof message !== 'string') {
    throw new PlainError(`${node} answered ${status}, and not as a node of a cluster does`)
  }
  throw new PlainError(`${message} (${code})`)
}

async function send (
  url: string,
  method: string,
  body: object | null
): Promise<{ readonly ok: boolean; readonly status: number; readonly text: string }> {
  try {
    const response = await fetch(url, {
      method,
      redirect: 'error',
      signal: AbortSignal.timeout(timeoutMs),
      ...(body === null ? {} : { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) })
    })
    return { ok: response.ok, status: response.status, text: await response.text() }
  } catch (cause) {
    const reason = cause instanceof Error && cause.cause instanceof Error ? cause.cause.message : String(cause)
    throw new PlainError(`${new URL(url).origin} does not answer: ${reason}`, { cause })
  }
}

function parse (text: string): object | null {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' ? value : null
  } catch {
    return null
  }
}
