/** An answer, read to its end. */
export interface Answer {
  readonly status: number
  readonly headers: Headers
  readonly text: string
  readonly elapsedMs: number
}

/** One request, read to its end. Rejects when there is no answer within `timeoutMs`. */
export async function send (method: string, url: string, body?: unknown, timeoutMs = 15_000): Promise<Answer> {
  const startedMs = performance.now()
  const response = await fetch(url, {
    method,
    signal: AbortSignal.timeout(timeoutMs),
    ...(body === undefined ? {} : { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) })
  })
  const text = await response.text()
  return { status: response.status, headers: response.headers, text, elapsedMs: performance.now() - startedMs }
}

/** Whether nothing listens at the address any more. */
export async function isGone (url: string): Promise<boolean> {
  try {
    await send('GET', url, undefined, 1_000)
    return false
  } catch (error) {
    return (
      error instanceof Error &&
      error.cause instanceof Error &&
      'code' in error.cause &&
      error.cause.code === 'ECONNREFUSED'
    )
  }
}
