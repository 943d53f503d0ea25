import { setTimeout as delay } from 'node:timers/promises'
import { PlainError } from '../terminal/messages.ts'

const pollIntervalMs = 20

/**
 * Calls `ask` every 20 ms until the answer is not null. Rejects with a {@link PlainError} that names what was awaited
 * after `timeoutMs`, and at once with an error that `ask` throws or with the reason of the signal.
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
 * The body of a successful GET as JSON, or null when there is no such answer in time. The caller states the shape.
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
