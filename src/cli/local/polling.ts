import { setTimeout as delay } from 'node:timers/promises'
import { PlainError } from '../terminal/plain-error.ts'

const pollIntervalMs = 20

/**
 * Asks again and again until the answer is not null. Rejects with a {@link PlainError} that names what was awaited
 * after `timeoutMs`, and at once with whatever `ask` throws or the signal's reason.
 */
export async function pollUntil<T> (
  awaited: string,
  timeoutMs: number,
  ask: () => Promise<T | null>,
  signal?: AbortSignal
): Promise<T> {
  const deadline = performance.now() + timeoutMs
  for (;;) {
    signal?.throwIfAborted()
    const answer = await ask()
    if (answer !== null) return answer
    if (performance.now() >= deadline) throw new PlainError(`Waited ${timeoutMs} ms in vain for ${awaited}`)
    await delay(pollIntervalMs)
  }
}

/**
 * The body of a successful GET as JSON, or null when there is no such answer in time. The caller vouches for the shape.
 */
export async function getJson<T> (url: string, timeoutMs: number): Promise<T | null> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(timeoutMs) })
    const body = await response.json() as T
    return response.ok ? body : null
  } catch {
    return null
  }
}
